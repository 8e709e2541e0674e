use std::{fs, thread};

use agent_model::{
    DeviceFacts, Invalid, Lowered, ManifestFormat, ResourceKind, ResourceSpec, SpecDocument, UnknownKeys,
};
use proptest::{collection, option, prelude::*};
use serde_json::json;

use super::{engine::Stopped, *};
use crate::{ScoreBridge, ScoreRegistry};

/// The work that a document has, as a device counts it.
const WORK: u64 = 250_000;

fn facts() -> DeviceFacts {
    [("arch", "arm"), ("hostname", "edge-0001"), ("kernel", "6.12.1"), ("os", "linux")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn render_all(templates: &[&str], values: &Value) -> (Result<Vec<String>, Stopped>, u64) {
    engine::render(templates, values.as_object().unwrap(), &facts(), WORK)
}

/// The content, or what is wrong.
fn render(template: &str, values: &Value) -> Result<String, String> {
    match render_all(&[template], values).0 {
        Ok(mut contents) => Ok(contents.remove(0)),
        Err(Stopped::Invalid(problems)) => Err(problems[0].message.clone()),
        Err(Stopped::OutOfWork) => Err("out of work".to_owned()),
    }
}

fn lower(with: &Value) -> Result<Lowered, Invalid> {
    let bridge = ScoreBridge::new(ScoreRegistry::built_in(), [ResourceKind::File]);
    let spec = json!({"scores": [{"score": "ConfigSet", "version": "0.1.0", "name": "app", "with": with}]});
    bridge.lower(&SpecDocument {
        spec: &spec,
        schema_version: &Version::new(0, 1, 0),
        unknown_keys: UnknownKeys::AreProblems,
        facts: &facts(),
    })
}

fn problems(with: &Value) -> Vec<String> {
    lower(with).unwrap_err().problems.iter().map(ToString::to_string).collect()
}

fn file(name: &str, path: &str, template: &str) -> Value {
    json!({"name": name, "path": path, "template": template})
}

#[test]
fn each_file_is_rendered_from_values_and_facts_and_named_after_the_score_and_itself() {
    let lowered = lower(&json!({
        "folder": "/etc/collector",
        "values": {"site": "north", "buses": [{"name": "a", "baud": 9600}, {"name": "b", "baud": 19200}]},
        "files": [
            {
                "name": "main", "path": "main.toml", "mode": "0640", "owner": "collector", "group": 20,
                "template": "site = {{ values.site|tojson }}\nhost = \"{{ facts.hostname }}\"\n",
            },
            {
                "name": "buses", "path": "conf.d/buses.html",
                "template": "{% for bus in values.buses -%}\n<{{ bus.name }}>={{ bus.baud }}\n{% endfor %}",
            },
        ],
    }))
    .unwrap();
    let files: Vec<_> = lowered
        .state
        .resources()
        .iter()
        .map(|resource| {
            let ResourceSpec::File(file) = &resource.spec else { panic!("{} is no file", resource.name) };
            let content = std::str::from_utf8(file.content.plain().unwrap().bytes()).unwrap();
            (
                resource.name.as_str(),
                file.path.as_str(),
                content,
                file.mode.to_string(),
                &file.owner,
                &file.group,
            )
        })
        .collect();
    let (owner, group) = (Principal::Name("collector".to_owned()), Principal::Id(20));
    assert_eq!(
        files,
        [
            (
                "app-main",
                "/etc/collector/main.toml",
                "site = \"north\"\nhost = \"edge-0001\"\n",
                "0640".to_owned(),
                &Some(owner),
                &Some(group),
            ),
            (
                "app-buses",
                "/etc/collector/conf.d/buses.html",
                "<a>=9600\n<b>=19200\n",
                "0644".to_owned(),
                &None,
                &None,
            ),
        ]
    );
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        names in collection::btree_set("[a-z]{1,8}", 1..4),
        folder in "(/[a-zä .]{1,8}[a-z]){1,3}",
        path in "([a-zä .]{1,8}[a-z]/){0,2}[a-z]{1,4}",
        template in ".{0,64}",
        value in option::of(any::<i64>()),
        mode in 0..=0o7777_u32,
        owner in option::of((0..u32::MAX).prop_map(Principal::Id)),
    ) {
        let file = |name: &String| ConfigFile {
            name: name.parse().unwrap(),
            path: path.parse().unwrap(),
            template: template.clone(),
            mode: Mode::from_bits(mode),
            owner: owner.clone(),
            group: Some(Principal::Name("staff".to_owned())),
        };
        let set = ConfigSet {
            folder: folder.parse().unwrap(),
            values: value.iter().map(|value| ("a".to_owned(), json!(value))).collect(),
            files: names.iter().map(file).collect(),
        };
        let written = json!(set);
        let mut findings = Findings::new(UnknownKeys::AreProblems);
        let read = ConfigSet::read(Field { value: &written, pointer: String::new() }, &mut findings);
        prop_assert_eq!(findings.into_parts().0, vec![]);
        prop_assert_eq!(read, Some(set));
    }
}

#[test]
fn every_problem_of_the_body_is_named_with_its_place() {
    let long = "x".repeat(200);
    let long = [long.as_str(); 15].join("/");
    let problems = problems(&json!({
        "folder": format!("/{long}"),
        "values": ["north"],
        "files": [
            {"name": "main", "path": "/main.toml", "template": "", "mode": 640},
            {"name": "Main", "path": "a/../b", "template": 7, "owner": ""},
            {"name": "a", "path": "", "templat": ""},
            {"name": "b", "path": format!("{long}/{}", "y".repeat(200)), "template": ""},
            {"name": "b", "path": long, "template": ""},
        ],
    }));
    let expected = [
        "/spec/scores/0/with/values: expected an object, found an array",
        "files/0/path: \"/main.toml\" is not a usable path below the folder: it must be relative, without a / at its beginning",
        "files/0/mode: expected a string, found a number",
        "files/1/name: \"Main\" is not a resource name",
        "files/1/path: \"a/../b\" is not a usable path below the folder: it must have no . or .. component",
        "files/1/template: expected a string, found a number",
        "files/1/owner: \"\" names no user",
        "files/2/path: \"\" is not a usable path below the folder: it must name a file",
        "files/2: \"template\" is missing",
        "files/2/templat: unknown key \"templat\"; did you mean \"template\"?",
        "files/3/path: ",
        "it must not be longer than 4095 bytes",
        "files/4/name: \"b\" is already the name of /spec/scores/0/with/files/3",
    ];
    let text = problems.join("\n");
    for expected in expected {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
    let empty = lower(&json!({"folder": "/etc/app", "files": []})).unwrap_err().to_string();
    assert_eq!(empty, "/spec/scores/0/with/files: a ConfigSet has at least one file");
}

#[test]
fn every_template_that_fails_is_named_with_line_and_reason() {
    let with = json!({
        "folder": "/etc/app",
        "values": {"site": "north", "poll": {"interval": 5}},
        "files": [
            file("a", "a", "[site]\n\nname = {{ values.sight }}\n"),
            file("b", "b", "{{ values.site }}"),
            file("c", "c", "{% if values.site %}"),
            file("d", "d", "{{ facts.cpu|upper }}\n{{ values.x }}"),
            file("e", "e", "\n{{ values.poll.intervall }}"),
            file("f", "f", "{{ site }}"),
            file("g", "g", "{{ values.site|uper }}"),
            file("h", "h", "{% for i in [1, values.site] %}{% endfor %}"),
        ],
    });
    assert_eq!(
        problems(&with),
        [
            "/spec/scores/0/with/files/0/template: line 3: `values.sight` is undefined; valid here: poll, site",
            "/spec/scores/0/with/files/2/template: line 1: syntax error: unexpected end of input, expected end of block",
            "/spec/scores/0/with/files/3/template: line 1: `facts.cpu` is undefined; valid here: arch, hostname, kernel, os",
            "/spec/scores/0/with/files/4/template: line 2: `values.poll.intervall` is undefined; did you mean \"interval\"?",
            "/spec/scores/0/with/files/5/template: line 1: `site` is undefined",
            "/spec/scores/0/with/files/6/template: line 1: unknown filter: filter uper is unknown",
            "/spec/scores/0/with/files/7/template: line 1: a template cannot make a list of anything but texts and numbers, \
             as it could hold another list twice; put it into values",
        ]
    );
}

#[test]
fn a_hint_tells_keys_and_never_what_there_is() {
    let values = json!({
        "text": "secret", "list": ["secret", {"key": "secret"}], "map": {"key": "secret"},
        "odd": {"\u{1b}[31m": "secret", "a b": "secret"},
    });
    for (template, expected) in [
        ("{{ values.text.name }}", "line 1: `values.text.name` is undefined"),
        ("{{ values.list.name }}", "line 1: `values.list.name` is undefined"),
        ("{{ values.odd.name }}", "line 1: `values.odd.name` is undefined"),
        ("{{ values.map.name }}", "line 1: `values.map.name` is undefined; valid here: key"),
        ("{{ values.map.kye }}", "line 1: `values.map.kye` is undefined; did you mean \"key\"?"),
    ] {
        assert_eq!(render(template, &values), Err(expected.to_owned()));
    }
}

#[test]
fn no_hint_is_looked_for_at_a_long_name_and_only_among_the_first_of_many_keys() {
    let values: Map<String, Value> = (0..4000).map(|i| (format!("k{i:04}"), json!(1))).collect();
    let message = |name: &str| {
        let template = format!("{{{{ values.{name} }}}}");
        render(&template, &Value::Object(values.clone())).unwrap_err()
    };
    assert!(message("k000o").ends_with("; did you mean \"k0000\"?"), "{}", message("k000o"));
    assert!(!message("k399o").contains("k3999"), "{}", message("k399o"));
    assert!(!message(&"v".repeat(65)).contains(';'), "{}", message(&"v".repeat(65)));
}

#[test]
fn two_files_of_one_path_are_refused_where_the_second_stands() {
    let with = json!({"folder": "/etc/app", "files": [file("a", "same", ""), file("b", "same", "")]});
    let problems = problems(&with);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("/spec/scores/0/with/files/1: "), "{problems:?}");
}

#[test]
fn text_is_kept_byte_for_byte_and_data_is_written_as_json() {
    let values = json!({
        "text": "<a> & \"b\"", "yes": true, "nothing": null, "one": 1, "real": 1.0,
        "large": u64::MAX, "list": ["<", {"b": 1, "a": false}], "hosts": [{"name": "a"}, {"name": "b"}],
    });
    for (template, expected) in [
        ("", ""),
        ("a", "a"),
        ("a\n", "a\n"),
        ("a\r\n\n\n", "a\r\n\n\n"),
        ("{{ values.text }}\n", "<a> & \"b\"\n"),
        ("{{ values.text|tojson }}", r#""<a> & \"b\"""#),
        ("{{ values.yes }} {{ values.nothing }}", "true null"),
        ("{{ values.one }} {{ values.real }} {{ values.large }}", "1 1.0 18446744073709551615"),
        ("{{ values.list }} {{ values.list|tojson }}", r#"["<",{"a":false,"b":1}] ["<",{"a":false,"b":1}]"#),
        ("{{ values.one + 8000 }} {{ values.missing|default('d') }}", "8001 d"),
        ("{{ values.hosts|map(attribute='name')|join(',') }}", "a,b"),
        ("{% for i in range(2, 8, 3) %}{{ loop.index }}:{{ i }} {% endfor %}", "1:2 2:5 "),
        ("{% for key, value in facts|items %}{{ key }} {% endfor %}", "arch hostname kernel os "),
        ("{% raw %}{{ [x] }}{% endraw %}{# [x] #}", "{{ [x] }}"),
        ("{% set a = values.one %}{%+ if a == 1 and values.yes +%} {{- a -}} {% endif %}", "1"),
    ] {
        assert_eq!(render(template, &values).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn templates_reach_nothing_but_values_and_facts() {
    for template in [
        "{{ now() }}",
        "{{ debug() }}",
        "{{ env }}",
        "{{ namespace() }}",
        "{{ dict() }}",
        "{{ cycler() }}",
        "{{ lipsum() }}",
        "{% include 'a' %}",
        "{% import 'a' as a %}",
        "{% extends 'a' %}",
        "{{ 'a'|random }}",
        "{{ 'a'|pprint }}",
        "{% macro a() %}{% endmacro %}",
    ] {
        assert!(render(template, &json!({})).is_err(), "{template}");
    }
}

/// Templates that would take more time, memory or stack than there is.
fn hostile() -> Vec<String> {
    let within = |open: &str, close: &str, times: usize| {
        format!("{{{{ {}1{} }}}}", open.repeat(times), close.repeat(times))
    };
    let mut templates = vec![
        within("(", ")", 1_000_000),
        within("-", "", 1_000_000),
        within("(", ")", 1000),
        within("[", "]", 1000),
        within("-", "", code_bounds::MAX_TAG - 10),
        within("not ", "", (code_bounds::MAX_TAG - 10) / 4),
        within("1 if 1 else ", "", (code_bounds::MAX_TAG - 10) / 12),
        format!("{{% set {}x = 1 %}}", "(".repeat(code_bounds::MAX_TAG - 20)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 0 %}".repeat(code_bounds::MAX_CODE / 12 - 3)),
        "{% if 1 %}".repeat(1000),
        "{% for x in values.l %}".repeat(140) + &"{% endfor %}".repeat(140),
        "{% for x in values.l recursive %}{{ loop(values.l) }}{% endfor %}".to_owned(),
        "{% for a in range(100000) %}{% endfor %}".to_owned(),
        "{% for a in range(30000) %}{% for b in range(30000) %}x{% endfor %}{% endfor %}".to_owned(),
        format!("{{% set x = 'aaaaaaaa' %}}{}", "{% set x = x ~ x %}".repeat(60)),
        format!("{{% set x = values.l %}}{}{{{{ x }}}}", "{% set x = [x, x] %}".repeat(60)),
        format!("{{% set x = values.l %}}{}{{{{ x }}}}", "{% set x = x, x %}".repeat(60)),
        format!("{{% set x = values.l %}}{}{{{{ x }}}}", "{% set x = x + x %}".repeat(60)),
        format!("{{% set x = values.l %}}{}{{{{ x }}}}", "{% set x = x|chain(x) %}".repeat(60)),
        format!("{{% set x = values.l %}}{}{{{{ x }}}}", "{% set x = x|map('default', x) %}".repeat(60)),
        format!("{{% set x = values.l %}}{}{{{{ x }}}}", "{% set x = x|batch(1, x) %}".repeat(60)),
    ];
    let expressions = [
        "'x' * 10**9",
        "values.l * 100000000",
        "'a'|replace('', values.s)|replace('', values.s)",
        "9**9**9",
        "'x'|indent(1000000000)",
        "'%999999999d'|format(1)",
        "'%.999999999f'|format(1.0)",
        "'x'|center(1000000000)",
        "1.5|round(1000000000)",
        "values.l|tojson(indent=1000000000)",
        "range(-9223372036854775808)",
        "values.l[-9223372036854775808]",
        "-9223372036854775808 // -1",
    ];
    templates.extend(expressions.map(|expression| format!("{{% set x = {expression} %}}{{{{ x ~ x }}}}")));
    let chains =
        ["-1", ".a", "[0]", "()", "[1:]", "|list", " is int", " and 1", "==1", "~1", " if 1", " + 1"];
    templates.extend(chains.map(|chain| {
        format!("{{{{ values.l{} }}}}", chain.repeat((code_bounds::MAX_TAG - 20) / chain.len()))
    }));
    // What the engine does in one instruction, as often as there is fuel.
    let conditions = [
        "values.l == values.l2",
        "values.s in values.s2",
        "values.l|tojson == ''",
        "values.l ~ '' == ''",
        "values.l|sort == values.l2|unique",
        "values.l is eq values.l2",
        "values.n == values.n2",
        "values.n < values.n2 or values.n2 < values.n",
    ];
    templates.extend(conditions.map(|condition| {
        let (open, close) = ("{% for a in range(30000) %}", "{% endfor %}");
        format!("{open}{open}{{% if {condition} %}}{{% endif %}}{close}{close}")
    }));
    templates
}

#[test]
fn a_hostile_template_ends_soon_and_takes_neither_memory_nor_the_callers_stack() {
    let (many, long) = (vec![1; MAX_VALUES / 4 - 3], "a".repeat(MAX_VALUES_BYTES / 3));
    let values = json!({
        "l": many, "l2": many, "s": long, "s2": long,
        // The engine counts the outer list only.
        "n": [many], "n2": [many],
    });
    assert!(values.as_object().unwrap().values().map(count_values).sum::<usize>() <= MAX_VALUES);
    let templates = hostile();
    let before = peak_memory();
    let small_stack = thread::Builder::new().stack_size(128 << 10);
    let outcome = small_stack.spawn(move || {
        for template in &templates {
            let start: String = template.chars().take(60).collect();
            let content = render(template, &values);
            assert!(content.as_ref().map_or(0, String::len) <= 4 << 20, "{start} makes much of little");
            assert_ne!(
                content,
                Err("the template engine breaks off on one of these templates: make them simpler".to_owned()),
                "{start}"
            );
        }
    });
    outcome.unwrap().join().unwrap();
    let grown = peak_memory() - before;
    assert!(grown < 64 << 20, "{grown} bytes");
}

/// The most memory that this process ever had, in bytes.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn what_templates_make_of_little_is_counted_for_the_document() {
    let endless = "{% for a in range(30000) %}{% for b in range(30000) %}x{% endfor %}{% endfor %}";
    let with = json!({"folder": "/etc/app", "files": [file("a", "a", endless)]});
    let problems = problems(&with);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].contains("takes more than"), "{problems:?}");

    let (contents, work) = render_all(&["x", "{{ values.a }}\n"], &json!({"a": "b".repeat(1000)}));
    assert_eq!(contents.unwrap()[0], "x");
    assert!((60..1000).contains(&work), "{work}");
}

#[test]
fn values_have_a_bound_in_number_and_in_bytes() {
    let with = |values: Value| json!({"folder": "/etc/app", "values": values, "files": [file("a", "a", "")]});
    for values in [json!({"a": vec![1; MAX_VALUES - 1]}), json!({"a": "x".repeat(MAX_VALUES_BYTES - 8)})] {
        assert!(lower(&with(values)).is_ok());
    }
    for values in [json!({"a": vec![1; MAX_VALUES]}), json!({"a": "x".repeat(MAX_VALUES_BYTES - 7)})] {
        let problems = problems(&with(values));
        assert!(
            problems[0].starts_with("/spec/scores/0/with/values: ") && problems.len() == 1,
            "{problems:?}"
        );
    }
}

#[test]
fn a_thousand_templates_that_fail_late_are_not_all_tried_to_the_end() {
    let late = "{% for a in range(9000) %}{% endfor %}{{ values.missing }}";
    let Err(Stopped::Invalid(problems)) = render_all(&[late; 1000], &json!({})).0 else { panic!("rendered") };
    assert!((2..100).contains(&problems.len()), "{}", problems.len());
}

#[test]
fn a_bug_of_the_engine_is_a_problem_of_the_document_and_not_of_the_agent() {
    // The engine negates the step. Where that is checked it panics, else it goes on.
    let panics = "{{ 'abc'[::-9223372036854775808] }}";
    let outcome = render(panics, &json!({}));
    if cfg!(debug_assertions) {
        assert!(outcome.unwrap_err().contains("breaks off"));
    }
}
