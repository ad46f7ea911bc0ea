//! The table, held against itself.

use super::*;

#[test]
fn every_change_has_its_parameters() {
    for verb in [
        Verb::Create,
        Verb::CreateMultiple,
        Verb::Update,
        Verb::UpdateMultiple,
        Verb::Delete,
        Verb::UpdateDevice,
        Verb::ReportConstraints,
        Verb::LockDoor,
        Verb::UnlockDoor,
    ] {
        assert!(!parameters(verb).is_empty(), "{verb:?}");
    }
}

#[test]
fn no_name_stands_twice() {
    let mut taken: Vec<(&str, Method)> = Vec::new();
    for endpoint in ENDPOINTS {
        for method in endpoint.methods {
            assert!(!taken.contains(&(endpoint.path, *method)), "{}", endpoint.path);
            taken.push((endpoint.path, *method));
        }
    }
    for endpoint in ENDPOINTS {
        let mut names: Vec<_> = endpoint.parameters.iter().map(|p| p.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), endpoint.parameters.len(), "{}", endpoint.path);
    }
}
