"""The API's page: every route, its parameters and its answers, from /openapi.json."""

from typing import Final

PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>LLM-Sentinel API</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
         color: #1c2430; background: #fff }
  h1 { font-size: 1.4rem } code { font: 13px ui-monospace, monospace }
  section { border-top: 1px solid #d8dee6; padding: .8rem 0 }
  .verb { display: inline-block; min-width: 3.4rem; font-weight: 600; color: #0b57a4 }
  table { border-collapse: collapse; margin: .4rem 0 } td { padding: .1rem .8rem .1rem 0;
         vertical-align: top } td:first-child { white-space: nowrap }
  .quiet { color: #5d6b7c }
  @media (prefers-color-scheme: dark) { body { color: #dfe6ee; background: #12171d }
         section { border-color: #2c3641 } .verb { color: #7fb8f0 } .quiet { color: #93a1b1 } }
</style>
<h1>LLM-Sentinel API</h1>
<p class="quiet">The description itself: <a href="/openapi.json">/openapi.json</a>.
Live events: <code>GET /api/v1/stream</code>. Metrics: <code>GET /metrics</code>.</p>
<main>Loading.</main>
<script>
  const text = (tag, content, name) => {
    const e = document.createElement(tag); e.textContent = content; if (name) e.className = name;
    return e };
  fetch("/openapi.json").then(r => r.json()).then(api => {
    const main = document.querySelector("main"); main.textContent = "";
    for (const [path, verbs] of Object.entries(api.paths))
      for (const [verb, route] of Object.entries(verbs)) {
        const s = document.createElement("section"), head = document.createElement("div");
        head.append(text("span", verb.toUpperCase(), "verb"), text("code", path));
        s.append(head, text("div", route.description || route.summary || "", "quiet"));
        const table = document.createElement("table");
        const row = (name, about) => { const r = table.insertRow();
          r.insertCell().append(text("code", name)); r.insertCell().textContent = about };
        for (const p of route.parameters || [])
          row(p.name, (p.description || "") + (p.required ? " (required)" : ""));
        for (const [status, answer] of Object.entries(route.responses || {}))
          row(status, answer.description || "");
        s.append(table); main.append(s);
      }
  }).catch(() => { document.querySelector("main").textContent = "The description did not load." });
</script>
</html>
"""
