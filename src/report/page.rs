//! The page: everything inline, no script, no request; narrow screens scroll the table, not the
//! page.

use super::Subject;
use super::figures::Figure;
use crate::compare::Row;
use crate::printable::in_markup;

const STYLE: &str = "
body{font:16px/1.5 system-ui,sans-serif;color:#1b1b1b;background:#fff;margin:0 \
auto;padding:1rem;max-width:72rem}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin-top:2rem}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{text-align:left;padding:.25rem .7rem .25rem 0;border-bottom:1px solid #ddd;white-space:nowrap}
.wide{overflow-x:auto}figure{margin:1.5rem 0}figure svg{max-width:100%;height:auto;border:1px \
solid #eee}
figcaption{color:#444;font-size:.9rem}li{margin:.3rem 0}
pre{background:#f6f6f6;padding:1rem;overflow-x:auto;font-size:.85rem}
";

/// The whole page.
pub(super) fn html(subject: &Subject, figures: &[Figure]) -> String {
    let title = in_markup(&subject.title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\">\n\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    let (e, n) = (subject.config.importance.pretrain_epochs, subject.config.train.epochs);
    out +=
        &format!("<p>SGD biased towards early important samples: E = {e} of N = {n} epochs.</p>\n");
    out += &table(
        &["", ""],
        subject.facts.iter().map(|(name, value)| vec![name.clone(), value.clone()]),
    );
    if let Some(o) = &subject.outcome {
        out += "<h2>Arms</h2>\n";
        out += &table(&Row::HEADER, o.rows().iter().map(|row| row.cells().to_vec()));
        out += "<h2>Before you believe it</h2>\n<ul>\n";
        out += &o
            .cautions()
            .iter()
            .map(|c| format!("<li>{}</li>\n", in_markup(c)))
            .collect::<String>();
        out += "</ul>\n";
    }
    out += "<h2>Figures</h2>\n";
    for figure in figures {
        let caption = in_markup(&figure.caption);
        out += &format!(
            "<figure role=\"img\" aria-label=\"{caption}\">{}\
             <figcaption>{caption}</figcaption></figure>\n",
            figure.svg
        );
    }
    let changes: Vec<Vec<String>> = subject
        .arms
        .iter()
        .flat_map(|a| {
            a.seeds.iter().flat_map(move |s| {
                s.changes.iter().map(move |(at, text)| {
                    vec![a.name.clone(), s.seed.to_string(), at.to_string(), text.clone()]
                })
            })
        })
        .collect();
    if !changes.is_empty() {
        out += "<h2>What was changed while it trained</h2>\n";
        out += &table(&["run", "seed", "epoch", "change"], changes.into_iter());
    }
    let config = toml::to_string(&subject.config).unwrap_or_default();
    out + &format!("<h2>Config</h2>\n<pre>{}</pre>\n</body></html>\n", in_markup(&config))
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let cells = |row: &[String], tag: &str| {
        row.iter().map(|c| format!("<{tag}>{}</{tag}>", in_markup(c))).collect::<String>()
    };
    let head: Vec<String> = header.iter().map(|h| (*h).to_owned()).collect();
    let head = if head.iter().all(String::is_empty) {
        String::new()
    } else {
        format!("<tr>{}</tr>\n", cells(&head, "th"))
    };
    let body: String = rows.map(|row| format!("<tr>{}</tr>\n", cells(&row, "td"))).collect();
    format!("<div class=\"wide\"><table>\n{head}{body}</table></div>\n")
}
