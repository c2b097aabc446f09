// What all pages use. The page's data, which is compressed in it:
async function unpacked(id = "data") {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}
const byId = id => document.getElementById(id);
// An element with properties (or attributes, where it has no such property) and children.
function element(name, about = {}, ...children) {
  const made = document.createElement(name);
  Object.entries(about).forEach(([key, value]) => {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  });
  made.append(...children.filter(child => child !== null));
  return made;
}
const filled = (phrase, values) => phrase.replace(/\{(\w+)\}/g, (_, name) => values[name]);
const minus = text => text.replace("-", "\u2212");
