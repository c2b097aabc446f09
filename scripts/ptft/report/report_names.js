// Snakemake's page leaves controls without a name, and scrolling tables without a stop of the tab key.
const named = [["#app .fixed > a", words.open], ["#app nav h1 > a", words.close],
  ["#app nav nav li > a:has(> svg:only-child)", words.home], ["#app nav input", words.search],
  [".vega-embed summary", words.save], ["#app nav nav", words.path], ["#app nav:has(nav)", words.menu],
  ["#app .fixed", words.open]];
function nameControls() {
  const set = (selector, attribute, value) =>
    document.querySelectorAll(`${selector}:not([${attribute}])`)
      .forEach(element => element.setAttribute(attribute, value));
  named.forEach(([selector, name]) => set(selector, "aria-label", name));
  set("#app nav img", "alt", "");
  set("#app .grow .p-3 > img", "alt", words.figure);
  set("#app .grow.h-screen", "role", "main");
  set("#app .fixed", "role", "navigation");
  set("#app .prose table", "tabindex", "0");
}
new MutationObserver(nameControls).observe(document.getElementById("app"),
  {childList: true, subtree: true});
nameControls();
