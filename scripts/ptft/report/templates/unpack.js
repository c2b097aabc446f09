// The page's data, which is compressed in it.
async function unpacked(id = "data") {
  const text = atob(document.getElementById(id).textContent);
  const bytes = Uint8Array.from(text, letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).text();
}
const byId = id => document.getElementById(id);
