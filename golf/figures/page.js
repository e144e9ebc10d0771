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
  const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of document.querySelectorAll('table.sortable tbody tr')) {
    const text = (row.textContent + ' ' + (row.dataset.all || '')).toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
  }
});
