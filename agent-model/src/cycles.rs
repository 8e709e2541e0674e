//! Cycles among things that wait for one another.

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    OnPath,
    Done,
}

/// The cycles of a graph, which is given as the successors of each node; each cycle as its nodes in
/// their order. What lies on none of them has none.
///
/// A node is in one cycle at most, so not all are found: where everything waits for everything, there
/// are more than anybody's memory holds. Iterative, because a chain may be as long as a document.
pub fn cycles(successors: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut cycles = Vec::new();
    let mut marks = vec![Mark::New; successors.len()];
    for start in 0..successors.len() {
        let mut path = Vec::new();
        if marks[start] == Mark::New {
            marks[start] = Mark::OnPath;
            path.push((start, 0));
        }
        while let Some((node, edge)) = path.last_mut() {
            let Some(&next) = successors[*node].get(*edge) else {
                marks[*node] = Mark::Done;
                path.pop();
                continue;
            };
            *edge += 1;
            match marks[next] {
                Mark::New => {
                    marks[next] = Mark::OnPath;
                    path.push((next, 0));
                }
                Mark::OnPath => {
                    let from = path.iter().position(|(on_path, _)| *on_path == next).unwrap_or(0);
                    let cycle: Vec<usize> = path.drain(from..).map(|(on_cycle, _)| on_cycle).collect();
                    cycle.iter().for_each(|on_cycle| marks[*on_cycle] = Mark::Done);
                    cycles.push(cycle);
                }
                Mark::Done => {}
            }
        }
    }
    cycles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cycle_is_found_from_where_it_is_entered() {
        let successors = [vec![1], vec![2], vec![3, 1], vec![], vec![4], vec![0]].map(|nodes| nodes.to_vec());
        assert_eq!(cycles(&successors), [vec![1, 2], vec![4]]);
    }

    #[test]
    fn a_long_chain_has_none_and_does_not_exhaust_the_stack() {
        let chain: Vec<Vec<usize>> = (1..100_000).map(|next| vec![next]).chain([vec![]]).collect();
        assert_eq!(cycles(&chain), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn where_all_wait_for_all_each_is_told_once() {
        let all = || (0..300).collect::<Vec<usize>>();
        let found = cycles(&vec![all(); 300]);
        let told: usize = found.iter().map(Vec::len).sum();
        assert!((1..=300).contains(&told), "{told} places in {} cycles", found.len());
    }
}
