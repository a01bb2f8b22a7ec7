/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Elements, and numbers as text. Names come from recordings: they are only ever set as text. */
const byId = (id) => document.getElementById(id);

/* element("td", {class: "n"}, child or text, ...) */
function element(tag, attributes, ...children) {
	const made = document.createElement(tag);
	for (const [name, value] of Object.entries(attributes || {})) {
		if (name === "onclick")
			made.addEventListener("click", value);
		else if (value !== undefined && value !== false)
			made.setAttribute(name, value);
	}
	made.append(...children);
	return made;
}

const button = (text, onclick, attributes) => element("button", { type: "button", onclick, ...attributes }, text);

const digits = (x) => x.toFixed(x >= 100 ? 0 : x >= 10 ? 1 : 2);

function timeText(ns) {
	for (const [unit, name] of [[SECOND, "s"], [1e6, "ms"], [1e3, "µs"]]) {
		if (ns >= unit * 0.9995)
			return unit === SECOND ? `${(ns / unit).toFixed(3)} s` : `${digits(ns / unit)} ${name}`;
	}
	return `${Math.round(ns)} ns`;
}

const countText = (n) => n.toLocaleString("en");

function shareText(part, all) {
	const percent = all > 0 ? 100 * part / all : 0;
	return percent > 0 && percent < 0.05 ? "< 0.1 %" : `${percent.toFixed(1)} %`;
}

const plural = (n, one, many = one + "s") => `${countText(n)} ${n === 1 ? one : many}`;

/* The pattern of an input, or null; says in `output` if it is invalid. */
function patternOf(input, output) {
	output.classList.remove("error");
	input.removeAttribute("aria-invalid");
	output.textContent = "";
	if (!input.value)
		return null;
	try {
		return new RegExp(input.value);
	} catch (error) {
		output.textContent = error.message.replace(/^.*: /, "invalid: ");
		output.classList.add("error");
		input.setAttribute("aria-invalid", "true");
		return null;
	}
}
