"""Style and script of the board's page: light and dark by the reader's setting, tables that sort and filter."""

STYLE = """
:root{--bg:#fff;--ink:#1c2024;--dim:#60646c;--line:#e0e1e6;--soft:#f6f7f9;--accent:#0b68cb;--bad:#c62a2f;--chip:#eef1f6;--local:#8e4ec6}
@media(prefers-color-scheme:dark){:root{--bg:#111214;--ink:#edeef0;--dim:#a0a3ab;--line:#2e3035;--soft:#18191c;--accent:#6cb2ff;--bad:#ff8a84;--chip:#24262c;--local:#c59cf4}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 20px 80px}
h1{font-size:26px;margin:0 0 8px}h2{font-size:19px;margin:36px 0 10px}
a{color:var(--accent)}.dim{color:var(--dim)}.bad{color:var(--bad);font-weight:600;font-size:12px}
input{font:inherit;width:min(420px,100%);padding:7px 10px;border:1px solid var(--line);border-radius:8px;background:var(--soft);color:var(--ink)}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th,td{padding:7px 10px;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
tbody tr:last-child td{border-bottom:0}tbody tr:hover{background:var(--soft)}
thead th{background:var(--soft);padding:0;white-space:nowrap}
th button{all:unset;cursor:pointer;padding:8px 10px;font-weight:600;display:block;width:100%;box-sizing:border-box}
th.num button,.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
th button:focus-visible,input:focus-visible{outline:2px solid var(--accent);outline-offset:-2px}
th[aria-sort=ascending] button::after{content:" \\2191"}th[aria-sort=descending] button::after{content:" \\2193"}
.date{white-space:nowrap}.remark{min-width:200px;font-size:12.5px;color:var(--dim)}.remark p{margin:0}
.chip{display:inline-block;background:var(--chip);border-radius:6px;padding:0 6px;margin:1px 3px 1px 0;font-size:12px;white-space:nowrap}
.chip.off{color:var(--dim);text-decoration:line-through}
.tree{list-style:none;margin:0;padding:0;font-size:13.5px}
.tree li{padding:3px 0 3px calc(var(--depth)*14px + 10px);border-left:1px solid var(--line)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font:12px system-ui,sans-serif}
.grid{stroke:var(--line)}.step{fill:none;stroke:var(--accent);stroke-width:1.6}
circle.ok{fill:var(--accent)}circle.bad{fill:var(--bg);stroke:var(--bad);stroke-width:2}circle.local{fill:var(--local)}
@media print{input{display:none}}
"""

SCRIPT = """
const value = (row, index) => { const text = row.cells[index].textContent.trim(); return text === '–' ? '' : text; };
const number = text => parseFloat(text.replace(/[#,]/g, ''));
for (const table of document.querySelectorAll('table.sortable')) {
  table.tHead.addEventListener('click', event => {
    const head = event.target.closest('th');
    if (!head) return;
    const index = head.cellIndex, up = head.getAttribute('aria-sort') !== 'ascending';
    for (const other of head.parentNode.cells) other.setAttribute('aria-sort', 'none');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const numeric = head.classList.contains('num');
    const rows = [...table.tBodies[0].rows].map((row, place) => ({ row, place, text: value(row, index) }));
    rows.sort((a, b) => {
      if (!a.text || !b.text) return (a.text ? 0 : 1) - (b.text ? 0 : 1) || a.place - b.place;
      const order = numeric ? number(a.text) - number(b.text) : a.text.localeCompare(b.text);
      return (up ? order : -order) || a.place - b.place;
    });
    table.tBodies[0].append(...rows.map(entry => entry.row));
  });
}
document.getElementById('filter').addEventListener('input', event => {
  const words = event.target.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const row of document.querySelectorAll('table.sortable tbody tr')) {
    const text = (row.textContent + ' ' + (row.dataset.all || '')).toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
  }
});
"""
