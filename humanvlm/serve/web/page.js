const settings = JSON.parse(document.getElementById("settings-of-the-server").textContent);
const $ = (id) => document.getElementById(id);
const MARKS = ["#ff6b8b", "#3fd0ff", "#ffd84d", "#6fe36f", "#d7a1ff", "#ffae57"];

let picture = null; // {url: to show, data: to send, width, height, name}
let reading = null; // the picture that is being read
let turns = []; // {text, picture: where it is new, said: {model: answer}}
let running = null; // AbortController of what is being answered
let following = false; // whether the page scrolls along with an answer: until its reader scrolls

class Fault extends Error {} // in words for whoever asked

function make(tag, options = {}, ...inside) {
  const made = Object.assign(document.createElement(tag), options);
  made.append(...inside);
  return made;
}

const headers = () => {
  const key = $("key").value.trim();
  return key ? { Authorization: `Bearer ${key}` } : {};
};

// What the server says to a request it does not answer, in words.
async function faultOf(response) {
  const told = await response.json().catch(() => null);
  const error = told?.error ?? {};
  const message = error.message ?? `the server answered ${response.status}`;
  const seconds = response.headers.get("Retry-After");
  const wait = seconds ? `Wait ${seconds} second${seconds === "1" ? "" : "s"} and ask again` : "Ask again later";
  if (response.status === 401) {
    $("settings").open = true;
    $("key").focus();
    return new Fault($("key").value ? "The server does not know this API key. Correct it under Settings, and ask again."
      : "The server asks for an API key. Enter it under Settings, and ask again.");
  }
  if (error.code === "context_length_exceeded") {
    return new Fault("The conversation is too long for the model. Begin a new one, or ask for fewer tokens.");
  }
  if (response.status === 413) return new Fault(`That is too large for this server: ${message}.`);
  if (response.status === 429) return new Fault(`Too many requests. ${wait}.`);
  if (response.status === 503) return new Fault(`The server is busy: ${message}. ${wait}.`);
  if (response.status >= 500) return new Fault(`The server failed: ${message}.`);
  return new Fault(`The server refuses this: ${message}.`);
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Fault("The server cannot be reached. See whether it still runs, and ask again.");
  }
  if (!response.ok) throw await faultOf(response);
  return response;
}

function showFault(error) {
  if (!(error instanceof Fault)) console.error(error);
  $("fault").textContent = error instanceof Fault ? error.message : `This page failed: ${error.message}`;
  $("fault").hidden = false;
}

// Pictures

async function readPicture(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Fault(`${file.name || "This"} is no picture that the browser can read. Choose a JPEG, PNG, WebP or GIF file.`);
  }
  const { width, height } = bitmap;
  let data = await dataUrl(file);
  let blob = file;
  let scale = Math.min(1, Math.sqrt(settings.pixels / (width * height)));
  let size = [width, height];
  // A data URL is most of a request; the rest of it, with the turns before, is left a tenth.
  while (scale < 1 || data.length > 0.9 * settings.body_bytes) {
    size = [width, height].map((side) => Math.max(1, Math.floor(side * scale)));
    const canvas = make("canvas", { width: size[0], height: size[1] });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, ...size);
    blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92));
    data = await dataUrl(blob);
    if (data.length <= 0.9 * settings.body_bytes) break;
    scale *= 0.8;
  }
  bitmap.close();
  const note = blob === file ? `${width} × ${height} pixels.`
    : `Made smaller, ${width} × ${height} to ${size[0]} × ${size[1]} pixels: this server takes no more.`;
  return { url: URL.createObjectURL(blob), data, name: file.name || "pasted picture", note };
}

function dataUrl(blob) {
  return new Promise((done, failed) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.onerror = () => failed(new Fault("The file cannot be read. Choose it again."));
    reader.readAsDataURL(blob);
  });
}

function take(files) {
  reading = read(files);
}

async function read(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) ?? files[0];
  $("fault").hidden = true;
  if (!file) return showFault(new Fault("That was no picture file. Save the picture, or copy it, and paste it here."));
  try {
    showPicture(await readPicture(file));
    if (turns.length) endConversation();
    $("question").focus();
  } catch (error) {
    showFault(error);
  }
}

function showPicture(found) {
  picture = found;
  $("preview").hidden = $("remove").hidden = !found;
  $("invite").textContent = found ? "Choose another picture" : "Choose a picture";
  $("preview").src = found?.url ?? "";
  $("preview").alt = found ? `Your picture: ${found.name}` : "";
  $("picture-note").textContent = found ? `${found.name}: ${found.note}` : "Ask without a picture, or choose another.";
}

// What came before stays on the page; the model is told no more of it.
function endConversation() {
  turns = [];
  $("log").append(make("li", {}, make("p", { className: "note", textContent: "A new conversation begins." })));
}

// Asking

function messagesFor(model) {
  const messages = [];
  for (const turn of turns) {
    const answer = turn.said[model];
    if (answer === undefined && turn !== turns.at(-1)) continue; // it was not asked, or did not answer
    const words = { type: "text", text: turn.text };
    const first = picture && !messages.length;
    messages.push({ role: "user", content: first ? [{ type: "image_url", image_url: { url: picture.data } }, words] : turn.text });
    if (answer) messages.push({ role: "assistant", content: answer });
  }
  return messages;
}

async function* eventsOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (held + value).split("\n");
    held = lines.pop();
    for (const line of lines) if (line.startsWith("data:")) yield line.slice(5).trim();
  }
}

// One model's answer to the last turn, into its place on the page. Gives its words; '' where there are none.
async function answer(turn, model, place, signal) {
  const item = place.closest("li");
  const words = place.querySelector(".words");
  const shown = picture;
  let ended = false, finish = "", grounded = null, text = "";
  try {
    const response = await call("v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ model, messages: messagesFor(model), max_tokens: Number($("tokens").value), stream: true }),
      signal,
    });
    for await (const data of eventsOf(response)) {
      if (data === "[DONE]") { ended = true; break; }
      const event = JSON.parse(data);
      if (event.error) throw new Fault(`The server failed: ${event.error.message}.`);
      const choice = event.choices?.[0];
      text += choice?.delta?.content ?? "";
      words.textContent = text;
      follow(item);
      finish = choice?.finish_reason ?? finish;
      grounded = event.humanvlm ?? grounded;
    }
    if (!ended) throw new Fault("The connection broke off before the answer ended.");
    if (finish === "length") note(place, `Cut off after ${$("tokens").value} tokens.`);
    if (!text) note(place, "The model said nothing.");
    if (grounded && shown) draw(place, grounded, shown);
    if (text && shown) offerCheck(place, text, shown);
  } catch (error) {
    if (error.name === "AbortError") note(place, "Stopped.");
    else if (error instanceof Fault) note(place, error.message, "fault");
    else throw error;
    if (!text) return { text, failed: error.name !== "AbortError" };
  } finally {
    place.setAttribute("aria-busy", "false");
    follow(item);
  }
  turn.said[model] = text;
  return { text, failed: false };
}

function note(place, text, className = "note") {
  place.append(make("p", { className, textContent: text }));
}

// Boxes and points over the picture, and the same as a list for who does not see them.
function draw(place, grounded, shown) {
  const { image_size: [width, height], boxes, keypoints } = grounded;
  if (!boxes.length && !keypoints.length) return;
  const figure = make("figure", {}, make("img", { src: shown.url, alt: "" }));
  const list = make("ol", { className: "found" });
  figure.ariaLabel = "Where it is in the picture; the list below says the same";
  figure.setAttribute("role", "img");
  const at = (mark, colour, x, y) => {
    mark.style.setProperty("--mark", colour);
    mark.style.left = `${(100 * x) / width}%`;
    mark.style.top = `${(100 * y) / height}%`;
    figure.append(mark);
  };
  const within = (value, most) => Math.min(Math.max(value, 0), most);
  boxes.forEach(({ label, xyxy }, number) => {
    const [x1, x2] = [xyxy[0], xyxy[2]].map((x) => within(x, width));
    const [y1, y2] = [xyxy[1], xyxy[3]].map((y) => within(y, height));
    const colour = MARKS[number % MARKS.length];
    const box = make("div", { className: "box" });
    box.style.width = `${(100 * (x2 - x1)) / width}%`;
    box.style.height = `${(100 * (y2 - y1)) / height}%`;
    at(box, colour, x1, y1);
    const name = make("span", { className: "name", textContent: label ?? `box ${number + 1}` });
    at(name, colour, x1, y1);
    if (y1 > 0.08 * height) name.style.transform = "translateY(-100%)";
    if (x1 > 0.7 * width) { name.style.left = "auto"; name.style.right = `${(100 * (width - x2)) / width}%`; }
    list.append(make("li", { textContent: `${label ?? "box"}: ${xyxy.map(Math.round).join(", ")}` }));
  });
  keypoints.forEach(({ name, xy }, number) => {
    const words = name.replaceAll("_", " ");
    const colour = MARKS[(boxes.length + number) % MARKS.length];
    at(make("div", { className: "point", title: words }), colour, ...xy);
    at(make("span", { className: "name number", textContent: boxes.length + number + 1 }), colour, ...xy);
    list.append(make("li", { textContent: `${words}: ${xy.map(Math.round).join(", ")}` }));
  });
  figure.firstChild.onload = () => follow(place.closest("li"));
  place.append(figure, make("p", { className: "note", textContent: `Pixels of ${width} × ${height}; boxes as x1, y1, x2, y2.` }), list);
}

// What an answer claims, checked against what detectors see in the picture

function offerCheck(place, text, shown) {
  const button = make("button", { type: "button", className: "quiet check", textContent: "Check what it claims" });
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Looking into the picture …";
    try {
      const response = await call("v1/faithfulness", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ image: shown.data, text }),
      });
      tellClaims(place, text, await response.json());
      button.remove();
    } catch (error) {
      showFault(error);
      button.textContent = "Check what it claims";
      button.disabled = false;
    }
  });
  place.append(button);
}

function tellClaims(place, text, { claims }) {
  const letters = [...text]; // places are in characters, not in UTF-16
  const pieces = [];
  let end = 0;
  for (const claim of [...claims].sort((one, other) => one.start - other.start || other.end - one.end)) {
    if (claim.start < end) continue; // it is within one that is marked
    pieces.push(letters.slice(end, claim.start).join(""), make("mark", { className: claim.verdict, textContent: claim.text }));
    end = claim.end;
  }
  place.querySelector(".words").replaceChildren(...pieces, letters.slice(end).join(""));
  const listed = (verdict) => [...new Set(claims.filter((one) => one.verdict === verdict).map((one) => `“${one.text}”`))].join(", ");
  const told = [["Supported", "supported"], ["Contradicted", "contradicted"], ["Not seen by the detectors", "unsupported"]]
    .filter(([, verdict]) => listed(verdict))
    .map(([title, verdict]) => make("p", { className: `note ${verdict}` }, make("b", { textContent: `${title}: ` }), listed(verdict)));
  const count = claims.filter((one) => one.verdict === "supported").length;
  const summary = claims.length ? `${count} of ${claims.length} claims are supported by what detectors see.` : "It claims nothing that can be checked.";
  const result = make("div", { className: "claims" }, make("p", { className: "note", textContent: summary }), ...told);
  place.append(result);
  $("announce").textContent = result.innerText;
}

async function ask() {
  await reading; // a question right after a picture is about it
  const text = $("question").value.trim();
  $("fault").hidden = true;
  if (running) return;
  if (!text) return showFault(new Fault("Write a question first."));
  const models = [...new Set([$("model").value, $("beside").value].filter(Boolean))];
  if (!models.length) return showFault(new Fault("The server's models are not known yet. Ask again in a moment."));
  if (!$("tokens").checkValidity() || !$("tokens").value) {
    $("settings").open = true;
    return showFault(new Fault(`Tokens of an answer: a number from 1 to ${settings.reply_tokens}.`));
  }
  const turn = { text, said: {} };
  const item = make("li", {});
  if (picture && !turns.length) item.append(make("img", { className: "shown", src: picture.url, alt: picture.name }));
  item.append(make("p", { className: "asked" }, make("span", { className: "apart", textContent: "You: " }), text));
  const places = models.map((model) => {
    const place = make("article", { className: "answer" }, make("h3", { textContent: model }), make("p", { className: "words" }));
    place.setAttribute("aria-busy", "true");
    return place;
  });
  item.append(make("div", { className: "answers" }, ...places));
  turns.push(turn);
  $("log").append(item);
  running = new AbortController();
  busy(true);
  $("question").value = "";
  $("announce").textContent = "Asked. The answer is being written.";
  if (matchMedia("(pointer: coarse)").matches) $("question").blur(); // the keyboard would hide the answer
  following = true;
  follow(item);
  try {
    const said = await Promise.all(models.map((model, at) => answer(turn, model, places[at], running.signal)));
    $("announce").textContent = places.map((place) => place.innerText).join("\n");
    if (said.every((one) => one.failed)) {
      turns = turns.filter((one) => one !== turn);
      $("question").value ||= text;
    }
  } catch (error) {
    showFault(error);
  } finally {
    running = null;
    busy(false);
  }
}

function follow(item) {
  if (following) item.scrollIntoView({ block: item.offsetHeight > 0.6 * innerHeight ? "start" : "nearest" });
}

function busy(now) {
  const within = document.activeElement === $(now ? "ask" : "stop");
  $("ask").hidden = now;
  $("stop").hidden = !now;
  if (within) $(now ? "stop" : "ask").focus();
  $("clear").hidden = now || !$("log").childElementCount;
}

// The server's models, once it is ready

async function connect() {
  const state = (text) => { $("state").textContent = text; };
  try {
    const ready = await fetch("ready").catch(() => null);
    if (ready && !ready.ok) {
      state("The model is being loaded …");
      return void setTimeout(connect, 2000);
    }
    const { data } = await (await call("v1/models")).json();
    const names = data.map((one) => one.id);
    const option = (name, text = name) => make("option", { value: name, textContent: text });
    const [first, second] = [$("model").value, $("beside").value];
    $("model").replaceChildren(...names.map((name) => option(name)));
    $("beside").replaceChildren(option("", "no second model"), ...names.map((name) => option(name)));
    if (names.includes(first)) $("model").value = first;
    if (names.includes(second)) $("beside").value = second;
    $("beside-row").hidden = names.length < 2;
    state(names.length === 1 ? `Model: ${names[0]}` : `Models: ${names.join(", ")}`);
    $("fault").hidden = true;
  } catch (error) {
    state("Not connected");
    showFault(error);
  }
}

$("tokens").max = settings.reply_tokens;
$("tokens").value = Math.min(256, settings.reply_tokens);
for (const { task, prompt } of settings.examples) {
  const button = make("button", { type: "button", textContent: task, title: prompt });
  button.addEventListener("click", () => { $("question").value = prompt; $("question").focus(); });
  $("examples").append(button);
}
$("key").addEventListener("change", connect);
$("file").addEventListener("change", () => { if ($("file").files.length) take($("file").files); $("file").value = ""; });
$("remove").addEventListener("click", () => { showPicture(null); if (turns.length) endConversation(); $("file").focus(); });
$("form").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
$("stop").addEventListener("click", () => running?.abort());
$("clear").addEventListener("click", () => { turns = []; $("log").replaceChildren(); busy(false); $("question").focus(); });
$("question").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); ask(); }
});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") running?.abort(); });
for (const kind of ["wheel", "touchmove"]) document.addEventListener(kind, () => { following = false; }, { passive: true });
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) { event.preventDefault(); take(event.clipboardData.files); }
});
document.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
connect();
