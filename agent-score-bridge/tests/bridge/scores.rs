//! Scores as somebody outside of the bridge would write them, each with one thing to show.

use agent_model::{
    FileSpec, Problem, ResourceName, TargetPath,
    reader::{Field, Findings},
};
use agent_score_bridge::{
    Child, Container, FILES, File, Files, Interpret, InterpretError, Process, Score, ScoreRegistry, ShellJob,
    SystemdUnit, WireForm,
};
use semver::Version;
use serde::Serialize;

pub(super) fn registry() -> ScoreRegistry {
    ScoreRegistry::none()
        .with::<Container>()
        .with::<File>()
        .with::<Process>()
        .with::<ShellJob>()
        .with::<SystemdUnit>()
        .with::<Bundle>()
        .with::<Chain>()
        .with::<Nested>()
        .with::<Greedy>()
        .with::<Fussy>()
        .with::<Silent>()
        .with::<Mute>()
        .with::<Picky>()
        .with::<Untidy>()
        .with::<Modest>()
        .with::<Badge>()
}

/// An empty file.
pub(super) fn empty_file(path: TargetPath) -> FileSpec {
    FileSpec::new(path, "")
}

/// Makes a type a Score: its name, how its body is read, and what its Interpret does.
macro_rules! score {
    ($score:ident, read: $read:expr, execute: $execute:expr $(,)?) => {
        impl WireForm for $score {
            const NAME: &'static str = stringify!($score);
            const VERSION: Version = Version::new(0, 1, 0);

            fn read(body: Field<'_>, findings: &mut Findings) -> Option<Self> {
                let read: fn(Field<'_>, &mut Findings) -> Option<Self> = $read;
                read(body, findings)
            }
        }

        impl<T: Files> Score<T> for $score {
            fn create_interpret(&self) -> Box<dyn Interpret<T> + '_> {
                struct This<'a>(&'a $score);
                impl<T: Files> Interpret<T> for This<'_> {
                    fn execute(&self, topology: &mut T) -> Result<(), InterpretError> {
                        let execute: fn(&$score, &mut T) -> Result<(), InterpretError> = $execute;
                        execute(self.0, topology)
                    }
                }
                Box::new(This(self))
            }
        }
    };
}

fn number(field: Field<'_>, findings: &mut Findings) -> Option<u64> {
    field.value.as_u64().or_else(|| field.mistyped("a number", findings))
}

/// A composite: a child `File` for each of its files.
#[derive(Serialize)]
pub(super) struct Bundle {
    files: Vec<BundledFile>,
}

#[derive(Serialize)]
struct BundledFile {
    name: String,
    path: TargetPath,
}

score!(
    Bundle,
    read: |body, findings| body.object(findings, |fields| {
        let files = fields.required("files", |list, findings| {
            list.list(findings, |file, findings| {
                file.object(findings, |fields| {
                    let name = fields.required("name", |field, findings| field.text(findings));
                    let path = fields.required("path", Field::parsed);
                    Some(BundledFile { name: name?.to_owned(), path: path? })
                })
            })
        });
        Some(Self { files: files? })
    }),
    execute: |bundle, topology| {
        for (i, BundledFile { name, path }) in bundle.files.iter().enumerate() {
            let pointer = format!("/files/{i}");
            let child = Child { name, pointer: &pointer, ..Child::default() };
            topology.interpret(&child, &File(empty_file(path.clone())))?;
        }
        Ok(())
    },
);

/// A composite of composites: two bundles, the second of which waits for all of the first, and is
/// restarted by it.
#[derive(Serialize)]
pub(super) struct Chain;

score!(
    Chain,
    read: |body, findings| body.object(findings, |_| Some(Self)),
    execute: |_, topology| {
        let bundle = |folder: &str| Bundle {
            files: ["x", "y"]
                .map(|name| BundledFile { name: name.into(), path: format!("/chain/{folder}/{name}").parse().unwrap() })
                .into(),
        };
        let one = topology.interpret(&Child { name: "one", ..Child::default() }, &bundle("one"))?;
        let two = Child { name: "two", depends_on: &one, restart_on: &one, ..Child::default() };
        topology.interpret(&two, &bundle("two"))?;
        Ok(())
    },
);

/// As many Scores within one another as its body says; in the innermost there is a file.
#[derive(Serialize)]
pub(super) struct Nested(u64);

score!(
    Nested,
    read: |body, findings| body.object(findings, |fields| fields.required("depth", number).map(Self)),
    execute: |nested, topology| match nested.0 {
        0 => topology.declare_file(empty_file("/nested".parse().unwrap()), ""),
        depth => {
            let child = Child { name: "n", pointer: "/depth", ..Child::default() };
            topology.interpret(&child, &Nested(depth - 1)).map(|_| ())
        }
    },
);

/// Takes as much of everything as its body says.
#[derive(Serialize, Default)]
pub(super) struct Greedy {
    children: u64,
    work: u64,
    content: u64,
    references: u64,
}

score!(
    Greedy,
    read: |body, findings| body.object(findings, |fields| {
        let mut amount = |key| fields.optional(key, number).unwrap_or_default();
        Some(Self {
            children: amount("children"),
            work: amount("work"),
            content: amount("content"),
            references: amount("references"),
        })
    }),
    execute: |greedy, topology| {
        let before = topology.remaining_work();
        topology.spend(greedy.work)?;
        assert_eq!(topology.remaining_work(), before - greedy.work);
        if greedy.content > 0 {
            let content = vec![b'x'; greedy.content as usize].into();
            let file = FileSpec { content, ..empty_file(format!("/greedy/{}", greedy.content).parse().unwrap()) };
            topology.declare_file(file, "/content")?;
        }
        let mut depends_on = Vec::new();
        if greedy.references > 0 {
            let child = Child { name: "target", ..Child::default() };
            let target = topology.interpret(&child, &File(empty_file("/greedy/target".parse().unwrap())))?;
            depends_on = vec![target[0].clone(); greedy.references as usize];
            let child = Child { name: "r", pointer: "/references", depends_on: &depends_on, ..Child::default() };
            topology.interpret(&child, &File(empty_file("/greedy/r".parse().unwrap())))?;
        }
        for i in 0..greedy.children {
            let name = format!("c{i}");
            let child = Child { name: &name, pointer: "/children", depends_on: &depends_on, ..Child::default() };
            topology.interpret(&child, &Greedy::default())?;
        }
        Ok(())
    },
);

/// Refuses its body when it is interpreted, once as itself and once in a child.
#[derive(Serialize)]
pub(super) struct Fussy {
    in_child: bool,
}

score!(
    Fussy,
    read: |body, findings| body.object(findings, |fields| {
        let in_child = fields.optional("inChild", |field, _| field.value.as_bool());
        Some(Self { in_child: in_child.unwrap_or_default() })
    }),
    execute: |fussy, topology| {
        if fussy.in_child {
            let child = Child { name: "c", pointer: "/inChild", ..Child::default() };
            return topology.interpret(&child, &Fussy { in_child: false }).map(|_| ());
        }
        let problem = |pointer: &str, message: &str| Problem { pointer: pointer.into(), message: message.into() };
        Err(InterpretError::Invalid { problems: vec![problem("/a", "too red"), problem("", "too loud")] })
    },
);

/// Reads nothing and does not say why: a mistake of its author.
#[derive(Serialize)]
pub(super) struct Silent;

score!(Silent, read: |_, _| None, execute: |_, _| Ok(()));

/// Refuses everything and does not say why: a mistake of its author.
#[derive(Serialize)]
pub(super) struct Mute;

score!(
    Mute,
    read: |_, _| Some(Self),
    execute: |_, _| Err(InterpretError::Invalid { problems: Vec::new() }),
);

/// Would have a child of which a part fails, and does without.
#[derive(Serialize)]
pub(super) struct Picky;

score!(
    Picky,
    read: |_, _| Some(Self),
    execute: |_, topology| {
        let files = ["ok", "Not a name"].map(|name| BundledFile {
            name: name.into(),
            path: format!("/picky/{}", name.len()).parse().unwrap(),
        });
        let child = Child { name: "x", pointer: "", ..Child::default() };
        let error = topology.interpret(&child, &Bundle { files: files.into() }).unwrap_err();
        assert!(matches!(error.cause(), InterpretError::Unnameable(_)), "{error:?}");
        topology.interpret(&child, &File(empty_file("/picky/plain".parse().unwrap()))).map(|_| ())
    },
);

/// Makes one of the mistakes that an author of Scores can make with names.
#[derive(Serialize)]
pub(super) struct Untidy(String);

score!(
    Untidy,
    read: |body, findings| body.object(findings, |fields| {
        let mistake = fields.required("mistake", |field, findings| field.text(findings))?;
        Some(Self(mistake.to_owned()))
    }),
    execute: |untidy, topology| {
        let path = |path: &str| path.parse::<TargetPath>().unwrap();
        match untidy.0.as_str() {
            "two of its own" => {
                topology.declare_file(empty_file(path("/1")), "/mistake")?;
                topology.declare_file(empty_file(path("/2")), "/mistake")
            }
            "waits for later" => {
                let later: ResourceName = "u-later".parse().unwrap();
                let child = Child { name: "c", pointer: "/mistake", depends_on: &[later], ..Child::default() };
                topology.interpret(&child, &File(empty_file(path("/1")))).map(|_| ())
            }
            _ => {
                let child = Child { name: "Großes", pointer: "/mistake", ..Child::default() };
                topology.interpret(&child, &File(empty_file(path("/1")))).map(|_| ())
            }
        }
    },
);

/// Has a file where the device has files, and does without elsewhere.
#[derive(Serialize)]
pub(super) struct Modest;

score!(
    Modest,
    read: |_, _| Some(Self),
    execute: |_, topology| {
        let child = Child { name: "c", ..Child::default() };
        match topology.interpret(&child, &File(empty_file("/modest".parse().unwrap()))) {
            Err(error) if *error.cause() == (InterpretError::MissingCapability {
                score: "File",
                version: Version::new(0, 1, 0),
                capability: FILES,
            }) => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    },
);

/// A file with the device's name in it.
#[derive(Serialize)]
pub(super) struct Badge;

score!(
    Badge,
    read: |_, _| Some(Self),
    execute: |_, topology| {
        let content = topology.facts().get("hostname").cloned().unwrap_or_default().into_bytes().into();
        topology.declare_file(FileSpec { content, ..empty_file("/badge".parse().unwrap()) }, "")
    },
);
