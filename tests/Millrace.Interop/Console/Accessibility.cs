using Microsoft.Playwright;

namespace Millrace.Interop.WebConsole;

/// <summary>
/// What axe would say first: names of controls, roles of pictures, one h1, headings in order, distinct ids, labels of fields, header cells,
/// scrolling regions that the keyboard reaches, and text contrast of WCAG 2.1 AA (1.4.3) by computed colours.
/// </summary>
internal static class Accessibility
{
    private const string Script = """
        () => {
          const faults = [];
          const shown = e => e.getClientRects().length > 0 && getComputedStyle(e).visibility !== 'hidden';
          const tell = (what, e) => faults.push(what + ': ' + (e.outerHTML || '').slice(0, 120));
          const name = e => (e.getAttribute('aria-label') || (e.getAttribute('aria-labelledby') || '').split(' ').map(i => document.getElementById(i)?.textContent || '').join(' ')
            || e.textContent || e.getAttribute('title') || e.querySelector('img')?.alt || '').trim();
          if (!document.documentElement.lang) faults.push('no lang');
          for (const e of document.querySelectorAll('a[href], button, [role=button]')) if (shown(e) && !name(e)) tell('no name', e);
          for (const e of document.querySelectorAll('input, select, textarea')) if (!name(e) && !e.labels?.length) tell('no label', e);
          for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) tell('no alt', e);
          for (const e of document.querySelectorAll('[role=img]')) if (!name(e)) tell('picture without name', e);
          for (const e of document.querySelectorAll('svg')) if (!e.closest('[aria-hidden=true], [role=img]') && !e.getAttribute('role')) tell('svg neither named nor hidden', e);
          for (const e of document.querySelectorAll('[role=region], section[aria-labelledby]')) if (!name(e) || (e.hasAttribute('aria-labelledby') && !document.getElementById(e.getAttribute('aria-labelledby')))) tell('region without name', e);
          if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
          let level = 0;
          for (const h of document.querySelectorAll('h1, h2, h3, h4')) {
            const n = Number(h.tagName[1]);
            if (n > level + 1 && level > 0 && !h.closest('nav')) tell('heading level skipped', h);
            if (!h.closest('nav')) level = n;
          }
          const ids = new Set();
          for (const e of document.querySelectorAll('[id]')) { if (ids.has(e.id)) tell('id twice', e); ids.add(e.id); }
          for (const t of document.querySelectorAll('table')) if (!t.querySelector('th')) tell('table without header', t);
          for (const e of document.querySelectorAll('div, ul, ol, pre')) {
            const s = getComputedStyle(e);
            if (/auto|scroll/.test(s.overflowX + s.overflowY) && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1)
                && e.tabIndex < 0 && !e.querySelector('a, button, input, select, textarea, [tabindex="0"]')) tell('scrolls without keyboard', e);
          }
          const parse = c => { const m = c.match(/[\d.]+/g)?.map(Number) || [0, 0, 0, 0]; return c.startsWith('color(srgb') ? [m[0] * 255, m[1] * 255, m[2] * 255, m[3] ?? 1] : [m[0], m[1], m[2], m[3] ?? 1]; };
          const light = ([r, g, b]) => { const f = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
          const over = (a, b) => [0, 1, 2].map(i => a[i] * a[3] + b[i] * (1 - a[3])).concat(1);
          const ground = e => { const stack = []; for (let n = e; n; n = n.parentElement) { const c = parse(getComputedStyle(n).backgroundColor); stack.push(c); if (c[3] === 1) break; }
            return stack.reverse().reduce((under, c) => over(c, under), [255, 255, 255, 1]); };
          const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          const seen = new Set();
          while (walker.nextNode()) {
            const e = walker.currentNode.parentElement;
            if (!walker.currentNode.textContent.trim() || seen.has(e) || !shown(e) || e.closest('.hidden, .skip, :disabled, noscript, svg')) continue;
            seen.add(e);
            const s = getComputedStyle(e);
            const [a, b] = [light(over(parse(s.color), ground(e))), light(ground(e))];
            const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const large = parseFloat(s.fontSize) >= 24 || (parseFloat(s.fontSize) >= 18.66 && Number(s.fontWeight) >= 700);
            if (ratio < (large ? 3 : 4.5) - 0.01) tell('contrast ' + ratio.toFixed(2), e);
          }
          return faults;
        }
        """;

    public static async Task<string[]> FaultsAsync(IPage page) => await page.EvaluateAsync<string[]>(Script);
}
