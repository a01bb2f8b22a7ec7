# SPDX-License-Identifier: LGPL-2.1-or-later
"""xml: one document through ElementTree, minidom, pulldom and sax, with callbacks from C."""

import io
import keyword
import token
import tokenize
import xml.dom.minidom
import xml.dom.pulldom
import xml.etree.ElementTree as ET
import xml.sax
import xml.sax.saxutils

root = ET.Element("source", {"name": "keyword"})
with open(keyword.__file__, "rb") as f:
    for t in tokenize.tokenize(f.readline):
        node = ET.SubElement(root, token.tok_name[t.type].lower(), line=str(t.start[0]))
        node.text = t.string
        node.tail = "\n"
text = ET.tostring(root, encoding="unicode")


class Handler(xml.sax.ContentHandler):
    def __init__(self):
        super().__init__()
        self.depth = self.deepest = self.characters_seen = 0

    def startElement(self, name, attrs):
        self.depth += 1
        self.deepest = max(self.deepest, self.depth)
        assert attrs.getLength() == len(attrs.keys())

    def endElement(self, name):
        self.depth -= 1

    def characters(self, content):
        self.characters_seen += len(content)


class Target:
    def __init__(self):
        self.n = 0

    def start(self, tag, attrs):
        self.n += 1

    def end(self, tag):
        pass

    def data(self, data):
        pass

    def close(self):
        return self.n


handler = Handler()
xml.sax.parseString(text.encode(), handler)
count = ET.XMLParser(target=Target())
count.feed(text)
dom = xml.dom.minidom.parseString(text)
pretty = dom.toprettyxml(indent=" ")
names = [n.getAttribute("line") for n in dom.getElementsByTagName("name")]
found = ET.fromstring(text).findall("./name[@line]")
short = text[:3000].rsplit("<", 1)[0] + "</source>"
events = sum(1 for event, node in xml.dom.pulldom.parseString(short))
iterated = sum(1 for event, node in ET.iterparse(io.BytesIO(text.encode()), ("start", "end")))
wrong = 0
for bad in ("<a><b></a>", "<a", "", "<a>&x;</a>"):
    try:
        ET.fromstring(bad)
    except ET.ParseError:
        wrong += 1
    try:
        xml.sax.parseString(bad, handler)
    except xml.sax.SAXException:
        wrong += 1
out = io.StringIO()
xml.sax.parseString(short, xml.sax.saxutils.XMLGenerator(out))
print(handler.deepest, count.close() > 100, len(names) == len(found), events > 10)
print(iterated > 100, wrong)
