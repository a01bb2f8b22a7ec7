/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which frames are found, and their share. A found frame below another one is not counted again. */
const found = { fn: null, title: "" };

/* Marks all functions for which `is` is true; null: none is sought. */
function find(is, title) {
	found.title = title;
	found.fn = is && Uint8Array.from(fns.name, (_, fn) => is(fn) ? 1 : 0);
}

function foundWeight(total) {
	let sum = 0;
	for (let n = 1; n < nodes.n;) {
		const is = found.fn[nodes.fn[n]];
		if (is)
			sum += total[n];
		n = is ? nodes.end[n] : n + 1;
	}
	return sum;
}

/* "34.5 % of the time, 0.412 s, in 12 functions" */
function foundText(m) {
	const sum = foundWeight(m.total), n = found.fn.reduce((all, one) => all + one, 0);
	const amount = m.name === "calls" ? `of the calls, ${countText(sum)}` : `of the time, ${timeText(sum)}`;
	return n ? `${shareText(sum, m.all)} ${amount}, in ${plural(n, "function")}${found.title}` : "nothing found";
}

function search() {
	const pattern = patternOf(byId("search"), byId("found"));
	find(pattern && ((fn) => pattern.test(fns.label[fn]) || pattern.test(nameOf(fn))), "");
	showFound();
	drawSoon();
}

function showFound() {
	if (found.fn)
		byId("found").textContent = foundText(view.m);
}

/* Marks the frames of one function or package. */
function findOnly(is, title) {
	byId("search").value = "";
	find(is, title);
	showFound();
	drawSoon();
}
