//! The page: what was found and the forest plot first, then the table, what to know before
//! believing it, the figures. Everything is inline: no script, no request.

use super::Subject;
use super::figures::Figure;
use super::style;
use crate::compare::{Outcome, Row, Verdict};
use crate::printable::in_markup;

/// The whole page.
pub(super) fn html(subject: &Subject, figures: &[Figure]) -> String {
    let title = in_markup(&subject.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title><style>{}</style></head><body>\n<h1>{title}</h1>\n{}",
        style::sheet(),
        about(subject)
    );
    let (first, rest) = match &subject.outcome {
        Some(outcome) => {
            let first = figures.first().filter(|f| f.name == "forest");
            out += &found(outcome, first);
            out += "<h2>Arms</h2>\n";
            out += &arms(outcome);
            out += "<h2>Before you believe it</h2>\n";
            out += &list(&outcome.cautions());
            (usize::from(first.is_some()), "<h2>Figures</h2>\n")
        }
        None => (0, ""),
    };
    out += rest;
    out += "<div class=\"figures\">\n";
    out += &figures[first..].iter().map(drawing).collect::<String>();
    out += "</div>\n";
    out += &changes(subject);
    out += "<h2>What it was made with</h2>\n";
    let facts = subject.facts.iter().map(|(name, value)| vec![name.clone(), value.clone()]);
    out += &table("facts", &[], facts);
    let config = toml::to_string(&subject.config).unwrap_or_default();
    out + &format!(
        "<details><summary>Config</summary>\n<pre>{}</pre>\n</details>\n</body></html>\n",
        in_markup(&config)
    )
}

/// One line: the method's E and N, the data, the model.
fn about(subject: &Subject) -> String {
    let (e, n) = (subject.config.importance.pretrain_epochs, subject.config.train.epochs);
    let of = |name: &str| subject.facts.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let mut words = vec![format!("SGD biased towards early important samples, E = {e} of N = {n}")];
    words.extend(["data", "model"].iter().filter_map(|name| of(name)).map(str::to_owned));
    format!("<p class=\"about\">{}</p>\n", in_markup(&words.join(" \u{b7} ")))
}

/// The sentences beside the forest plot.
fn found(outcome: &Outcome, forest: Option<&Figure>) -> String {
    let finding = outcome.finding();
    let sentences = finding.sentences();
    let class = if finding.verdict == Verdict::Decided { "first" } else { "first open" };
    let lead = sentences.first().map_or("", String::as_str);
    format!(
        "<section class=\"{class}\">\n<p class=\"lead\">{}</p>\n{}{}</section>\n",
        in_markup(lead),
        forest.map(drawing).unwrap_or_default(),
        list(&sentences[1.min(sentences.len())..])
    )
}

fn list(sentences: &[String]) -> String {
    let items = sentences.iter().map(|s| format!("<li>{}</li>\n", in_markup(s)));
    format!("<ul>\n{}</ul>\n", items.collect::<String>())
}

fn drawing(figure: &Figure) -> String {
    let (title, caption) = (in_markup(&figure.title), in_markup(&figure.caption));
    format!(
        "<figure role=\"img\" aria-label=\"{title}. {caption}\">{}\
         <figcaption><b>{title}.</b> {caption}</figcaption></figure>\n",
        figure.svg
    )
}

/// The arms in the order of the forest plot.
fn arms(outcome: &Outcome) -> String {
    let rows = outcome.ranked();
    table("arms", &Row::HEADER, rows.iter().map(|row| row.cells().to_vec()))
        + "<p class=\"about\">Accuracies in percent, with the deviation over seeds; differences in \
           points, with their 95% interval. Speedup: median over seeds, and how many of them \
           reached the baseline's best accuracy. Worst: recall of the worst class at the end.</p>\n"
}

/// What was changed while it trained.
fn changes(subject: &Subject) -> String {
    let seeds = subject.arms.iter().flat_map(|a| a.seeds.iter().map(move |s| (a, s)));
    let rows: Vec<Vec<String>> = seeds
        .flat_map(|(a, s)| {
            s.changes.iter().map(move |(at, text)| {
                vec![a.name.clone(), s.seed.to_string(), at.to_string(), text.clone()]
            })
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    "<h2>What was changed while it trained</h2>\n".to_owned()
        + &table("changes", &["run", "seed", "epoch", "change"], rows.into_iter())
}

/// A table; its cells say what stands over them, for screens where nothing does.
fn table(class: &str, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cell = |(k, c): (usize, &String)| match header.get(k) {
        Some(of) => format!("<td data-of=\"{}\">{}</td>", in_markup(of), in_markup(c)),
        None => format!("<td>{}</td>", in_markup(c)),
    };
    let head: String = header.iter().map(|h| format!("<th>{}</th>", in_markup(h))).collect();
    let head = if head.is_empty() { head } else { format!("<tr>{head}</tr>\n") };
    let body: String = rows
        .map(|row| format!("<tr>{}</tr>\n", row.iter().enumerate().map(cell).collect::<String>()))
        .collect();
    format!("<table class=\"{class}\">\n{head}{body}</table>\n")
}
