//! `earlybird attach`: the cockpit on a run that another process trains, or a comparison's screen.

use super::{
    AttachArgs, Outcome, compare, complain, failed, headless, program, reach, usage, watch,
};
use crate::link;
use crate::model::device::DeviceName;
use crate::run::RunDirectory;

/// Opens the screen of what was named.
pub(super) fn run(args: &AttachArgs) -> Outcome {
    try_run(args).unwrap_or_else(|outcome| outcome)
}

fn try_run(args: &AttachArgs) -> Result<Outcome, Outcome> {
    if let Some(comparison) =
        args.run.as_ref().and_then(|name| compare::find(&args.place.runs_dir, name))
    {
        if watch::no_screen().is_some() {
            return Err(usage(
                "the screen needs a terminal (table.txt in the comparison's directory has what was \
                 found)",
            ));
        }
        return Ok(compare::watch(&comparison, &args.screen.setup()?));
    }
    let directory = live(args)?;
    if !watch::is_terminal() {
        return Err(usage(
            "the cockpit needs a terminal (`earlybird runs` and `earlybird replay --headless` \
             print)",
        ));
    }
    if let Some(why) = watch::no_screen() {
        complain(format!("{why}: printing lines instead of opening the cockpit"));
        return Ok(headless::follow(&directory));
    }
    let setup = args.screen.setup()?;
    let device = watch::device_of(&directory).unwrap_or_else(DeviceName::best);
    Ok(watch::attached(&directory, &setup, device, None))
}

/// The run that was named, or the newest that is being trained.
fn live(args: &AttachArgs) -> Result<RunDirectory, Outcome> {
    let runs = &args.place.runs_dir;
    if args.run.is_some() {
        return reach::find(runs, args.run.as_deref()).map_err(usage);
    }
    let is_live = |d: &RunDirectory| {
        d.is_ours() && (link::probe(&d.socket()).is_some() || d.trained_by().is_somebody())
    };
    let all = RunDirectory::all(runs);
    let newest = all.iter().rev().find(|d| is_live(d)).cloned();
    if newest.is_some() {
        reach::tell_left_out(&all, newest.as_ref());
    }
    newest.ok_or_else(|| {
        failed(format!(
            "no run in {} is being trained\n  `{p} runs` lists what there is, `{p} resume` goes on \
             with the newest, `{p} train` begins one.",
            runs.display(),
            p = program()
        ))
    })
}
