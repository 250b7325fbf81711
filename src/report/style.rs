//! The page's style sheet: readable on a phone, on paper, and on dark screens. Knows nothing of
//! what the page says.

use super::figures::dark_rules;

/// For every page.
const LIGHT: &str = "
:root{color-scheme:light dark;--ink:#1b1b1b;--dim:#5c5c5c;--rule:#ddd;--paper:#fff;--soft:#f5f5f5;
--lead:#0068a8}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0 auto;
padding:1rem;max-width:76rem}
h1{font-size:1.45rem;line-height:1.2;margin:0}
h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}
.about{color:var(--dim);font-size:.9rem;margin:.15rem 0 .8rem}
.lead{font-size:1.2rem;line-height:1.35;font-weight:600;border-left:4px solid var(--lead);
padding-left:.7rem;margin:0 0 .7rem}
.open .lead{border-left-style:dashed;border-color:var(--dim)}
li{margin:.3rem 0}ul{padding-left:1.2rem;margin:.4rem 0}
figure{margin:0;min-width:0}
figure svg{display:block;width:100%;height:auto;max-width:44rem;font-family:inherit}
figcaption{font-size:.85rem;color:var(--dim);line-height:1.4;margin-top:.3rem}
figcaption b{color:var(--ink)}
.first{display:grid;gap:.6rem 2rem;align-items:start}
.figures{display:grid;gap:2rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr))}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem;width:100%}
th,td{text-align:left;padding:.3rem .7rem .3rem 0;border-bottom:1px solid var(--rule);
vertical-align:top;overflow-wrap:anywhere}
.arms th,.arms td{white-space:nowrap}
th{color:var(--dim);font-weight:600}
.facts td:first-child{color:var(--dim);width:9rem}
details{margin:1rem 0}summary{cursor:pointer;font-weight:600}
pre{background:var(--soft);padding:1rem;white-space:pre-wrap;overflow-wrap:anywhere;
font-size:.8rem}
";

/// Where there is room for two columns.
const WIDE: &str = "
@media (min-width:60rem){.first{grid-template:\"a c\" auto \"b c\" 1fr/minmax(0,5fr) minmax(0,7fr)}
.first .lead{grid-area:a;margin:0}.first ul{grid-area:b;margin:0}.first figure{grid-area:c}}
";

/// On a phone a row of the table of arms is a block, each cell behind what stands over it.
const NARROW: &str = "
@media (max-width:46rem){
body{padding:.75rem}h1{font-size:1.2rem}.lead{font-size:1.05rem}
.first ul{font-size:.9rem}
.arms tr{display:grid;grid-template-columns:1fr 1fr;gap:0 1rem;padding:.5rem 0;
border-bottom:1px solid var(--rule)}
.arms tr:first-child{display:none}
.arms td{border:0;padding:.05rem 0;display:flex;justify-content:space-between;gap:.5rem;
font-size:.85rem}
.arms td::before{content:attr(data-of);color:var(--dim)}
.arms td:first-child,.arms td:nth-child(3){grid-column:1/-1;order:-1}
.arms td:first-child{font-weight:600}.arms td:first-child::before{content:none}
}
";

/// Figures two in a row, none cut in two.
const PRINT: &str = "
@media print{
body{font-size:10pt;max-width:none;padding:0}
h1{font-size:15pt}.lead{font-size:12pt}
.first{grid-template:none}.first>*{grid-area:auto!important}.first svg{max-width:150mm}
.figures{grid-template-columns:1fr 1fr;gap:6mm}
table{font-size:8pt}.arms th,.arms td{padding-right:2mm}
figure,tr,li,.arms{break-inside:avoid}h2{break-after:avoid}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
";

/// The whole sheet.
pub(super) fn sheet() -> String {
    format!(
        "{LIGHT}{WIDE}{NARROW}{PRINT}@media screen and (prefers-color-scheme:dark){{\n\
         :root{{--ink:#ececec;--dim:#a3a3a3;--rule:#3a3a3a;--paper:#161616;--soft:#222;\
         --lead:#5cb8ff}}\n{}}}\n",
        dark_rules()
    )
}
