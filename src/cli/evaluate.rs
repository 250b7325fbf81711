//! `earlybird evaluate` and `earlybird export`: a trained model on a test set, and as a file for
//! others.

use super::arguments::WhichModel;
use super::{EvaluateArgs, ExportArgs, Outcome, failed, reach, say, usage};
use crate::config::{self, RunConfig};
use crate::data;
use crate::importance::Adjust;
use crate::model::{NamedTensor, from_bytes, kernels, to_safetensors, use_threads};
use crate::run::RunDirectory;
use crate::train::{EvaluateError, Evaluated, evaluate};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Classes whose confusion is printed; more are in the JSON.
const CLASSES: usize = 12;

/// `earlybird evaluate`
pub(super) fn run(args: &EvaluateArgs) -> Outcome {
    try_run(args).unwrap_or_else(|outcome| outcome)
}

/// The run whose newest model the file is: what its journal says of it is checked then.
fn run_of_model(file: &Path) -> Option<RunDirectory> {
    let directory = RunDirectory::open(file.parent()?);
    let is_of_run = directory.file("journal.jsonl").is_file() && file.is_file();
    (is_of_run && directory.names_as_newest(file)).then_some(directory)
}

fn try_run(args: &EvaluateArgs) -> Result<Outcome, Outcome> {
    let device = args.compute.device(None)?;
    use_threads(args.compute.threads());
    let file = Path::new(&args.what);
    let mut warnings = Vec::new();
    let (state, from, config_file) = if let Some(directory) = run_of_model(file) {
        let model = directory.model().map_err(failed)?;
        warnings = model.warnings();
        (model.state, model.file, Some(directory.file("config.toml")))
    } else if file.is_file() {
        if args.which != WhichModel::Last {
            return Err(usage("--which is for runs: a file has one model"));
        }
        let bytes = std::fs::read(file).map_err(|e| failed(format!("{}: {e}", file.display())))?;
        let state = from_bytes(&bytes).map_err(|e| failed(format!("{}: {e}", file.display())))?;
        (state, file.to_owned(), None)
    } else {
        let directory = reach::find(&args.place.runs_dir, Some(&args.what)).map_err(usage)?;
        let model = directory.one_of_its_models(args.which.into()).map_err(failed)?;
        warnings = model.warnings();
        (model.state, model.file, Some(directory.file("config.toml")))
    };
    tell(&warnings);
    let config = config_of(args, config_file)?;
    let mut line = super::data::ProgressLine::default();
    let dataset = data::load(&config.data, config.seed, &mut |p| line.show(&p));
    line.end();
    let dataset = dataset.map_err(failed)?;
    dataset
        .findings
        .iter()
        .for_each(|finding| super::complain(format!("warning: {}", finding.text())));
    let opened = device.open_with(config.train.cuda_math()).map_err(failed)?;
    let tau = args.adjust.unwrap_or(config.importance.adjust_posthoc);
    if tau > 0.0 && config.importance.adjust != Adjust::None {
        warnings.push(
            "this model was trained with corrected logits (importance.adjust): --adjust corrects \
             them once more"
                .to_owned(),
        );
        tell(&warnings[warnings.len() - 1..]);
    }
    let evaluated = evaluate(&config, &dataset, &state, tau, &opened);
    tell(&kernels::take_warnings());
    let evaluated = evaluated.map_err(|e| match e {
        EvaluateError::Unread(unread) => failed(unread),
        EvaluateError::Misfits(misfits) => failed(format!(
            "{} does not fit the config's model, {}: {misfits}\n  Name its model and data with \
             --data CONFIG, or --set model.name=...",
            from.display(),
            config::value_text(&config, "model.name")
        )),
    })?;
    if let Some(out) = &args.logits {
        let classes = dataset.classes.len();
        let logits = NamedTensor {
            name: "logits".into(),
            shape: vec![dataset.test.len(), classes],
            values: evaluated.logits.clone(),
            trainable: false,
        };
        let written = to_safetensors(&[logits]).and_then(|bytes| std::fs::write(out, bytes));
        written.map_err(|e| failed(format!("{}: {e}", out.display())))?;
    }
    if args.json {
        let (c, names) = (&evaluated.confusion, &dataset.classes);
        let (mean, std) = dataset.mean_std();
        say(json!({
            "model": from.display().to_string(),
            "samples": dataset.test.len(),
            "accuracy": c.accuracy(),
            "loss": evaluated.loss,
            "adjust": tau,
            "mean": mean,
            "std": std,
            "classes": names,
            "recall": c.recall(),
            "precision": c.precision(),
            "confusion": c,
            "warnings": warnings,
        }));
    } else {
        table(&evaluated, &dataset.classes, &from, tau);
    }
    Ok(Outcome::Done)
}

fn config_of(args: &EvaluateArgs, of_run: Option<PathBuf>) -> Result<RunConfig, Outcome> {
    match args.data.clone().or(of_run) {
        Some(file) => config::load(&file, &args.set).map_err(usage),
        None => config::demo(&args.set).map_err(usage),
    }
}

fn table(evaluated: &Evaluated, classes: &[String], from: &Path, tau: f64) {
    let c = &evaluated.confusion;
    let n = c.total();
    let adjusted = if tau == 0.0 {
        String::new()
    } else {
        format!(", logits corrected for the training set's class shares (tau {tau})")
    };
    say(format!(
        "{}: test accuracy {:.2}% of {n}, loss {:.4}{adjusted}\n",
        from.display(),
        100.0 * c.accuracy(),
        evaluated.loss
    ));
    let shown = classes.len().min(CLASSES);
    let numbers: String = (0..shown).map(|k| format!("{k:>7}")).collect();
    say(format!(
        "{:>3} {:<20} {:>8} {:>10}  predicted as{}",
        "",
        "class",
        "recall",
        "precision",
        &numbers[5.min(numbers.len())..]
    ));
    let (recall, precision) = (c.recall(), c.precision());
    for (k, name) in classes.iter().enumerate() {
        let short: String = name.chars().take(20).collect();
        let row: String = c.row(k).iter().take(shown).map(|v| format!("{v:>7}")).collect();
        say(format!(
            "{k:>3} {short:<20} {:>7.2}% {:>9.2}%        {row}",
            100.0 * recall[k],
            100.0 * precision[k]
        ));
    }
    if classes.len() > shown {
        say(format!("\nThe first {shown} columns of the confusion matrix; --json has all of it."));
    }
}

/// `earlybird export`
pub(super) fn export(args: &ExportArgs) -> Outcome {
    let directory = match reach::find(&args.place.runs_dir, Some(&args.run)) {
        Ok(directory) => directory,
        Err(e) => return usage(e),
    };
    let model = match directory.one_of_its_models(args.which.into()) {
        Ok(model) => model,
        Err(e) => return failed(e),
    };
    tell(&model.warnings());
    match to_safetensors(&model.state).and_then(|bytes| std::fs::write(&args.to, bytes)) {
        Ok(()) => {
            say(format!(
                "{} (from {}), PyTorch's names and layouts",
                args.to.display(),
                model.file.display()
            ));
            Outcome::Done
        }
        Err(e) => failed(format!("{}: {e}", args.to.display())),
    }
}

fn tell(warnings: &[String]) {
    warnings.iter().for_each(|warning| super::complain(format!("warning: {warning}")));
}
