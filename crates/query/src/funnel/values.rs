//! What the values of a hit stand for: the group of its breakdown, and the lane of the properties that attempts hold.

use hashbrown::HashMap;

use super::Funnel;
use crate::spec::{GroupValue, Groups};

/// No lane: one of the held properties is NULL.
const NO_LANE: u32 = u32::MAX;

/// What the number of a hit's values stands for. The values are those of the breakdown, and then those of the held properties.
#[derive(Debug, Clone, Default)]
pub struct HitValues {
    /// By number; nothing where the number is the group and there are no lanes.
    of: Vec<Of>,
    groups: Groups,
    /// By group: whether a value of it is not NULL.
    has_value: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Of {
    group: u32,
    lane: u32,
}

impl HitValues {
    /// Of the combinations of values that are read for `funnel`.
    pub fn new(funnel: &Funnel, combined: &Groups) -> Self {
        let (breakdown, held) = (funnel.scope.breakdown.len(), funnel.hold.len());
        let numbers = 0..u32::try_from(combined.len()).unwrap_or(u32::MAX);
        if combined.is_empty() {
            return Self::default();
        }
        let mut groups = Groups::default();
        let mut lanes: HashMap<&[GroupValue], u32, foldhash::fast::RandomState> = HashMap::default();
        let mut of = Vec::with_capacity(combined.len());
        for number in numbers {
            let values = combined.values(number);
            let (own, rest) = values.split_at(breakdown.min(values.len()));
            // A plan reads the session of the sender after them.
            let held = &rest[..held.min(rest.len())];
            let next = u32::try_from(lanes.len()).unwrap_or(NO_LANE);
            let lane = match held.contains(&GroupValue::Null) {
                true => NO_LANE,
                false => *lanes.entry(held).or_insert(next),
            };
            of.push(Of { group: groups.intern(own), lane });
        }
        let value_of = |group: u32| groups.values(group).iter().any(|value| *value != GroupValue::Null);
        let has_value = (0_u32..).take(groups.len()).map(value_of).collect();
        // Of a breakdown alone the combinations are the groups, in the same order.
        let is_group = held == 0 && groups.len() == combined.len();
        let of = if is_group { Vec::new() } else { of };
        Self { of, groups, has_value }
    }

    /// The combinations of breakdown values.
    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    /// The number of the breakdown group that a number of combined values stands for.
    pub fn group_of(&self, number: u32) -> u32 {
        self.of.get(number as usize).map_or(number, |of| of.group)
    }

    /// The lane; `None` where a held property is NULL.
    pub(super) fn lane(&self, number: u32) -> Option<u32> {
        match self.of.get(number as usize) {
            Some(of) => (of.lane != NO_LANE).then_some(of.lane),
            None => Some(0),
        }
    }

    /// Whether one of the breakdown's properties is not NULL.
    pub(super) fn has_value(&self, number: u32) -> bool {
        self.has_value.get(self.group_of(number) as usize).copied().unwrap_or(false)
    }
}
