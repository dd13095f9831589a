//! Temperatures that an upstream takes.

use std::borrow::Cow;

use serde_json::{Number, value::RawValue};

use super::accent::Accent;
use crate::ir::Losses;

/// The temperature to send: the client's, or the nearest that the upstream takes.
pub(super) fn temperature<'a>(
    wanted: &'a RawValue,
    accent: &Accent,
    losses: &mut Losses,
) -> Cow<'a, str> {
    let number: Option<Number> = serde_json::from_str(wanted.get()).ok();
    let Some(value) = number.as_ref().and_then(Number::as_f64) else {
        return Cow::Borrowed(wanted.get());
    };
    let beyond = |bound: &&Number, is: fn(&f64, &f64) -> bool| {
        bound.as_f64().is_some_and(|bound| is(&value, &bound))
    };
    let below = accent.temperature_min.as_ref();
    let above = accent.temperature_max.as_ref();
    let nearest = below
        .filter(|bound| beyond(bound, f64::lt))
        .or(above.filter(|bound| beyond(bound, f64::gt)));
    match nearest {
        Some(bound) => {
            losses.report(
                "temperature",
                "the nearest that the upstream accepts is sent",
            );
            Cow::Owned(bound.to_string())
        }
        None => Cow::Borrowed(wanted.get()),
    }
}
