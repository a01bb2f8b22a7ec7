# SPDX-License-Identifier: LGPL-2.1-or-later
"""email, logging, configparser, csv, html.parser, pickle and enum on one made-up mailbox."""

import configparser
import copy
import csv
import dataclasses
import email
import email.message
import email.policy
import enum
import html.parser
import io
import logging
import pickle


class Level(enum.IntFlag):
    LOW = 1
    HIGH = 2
    BOTH = LOW | HIGH


@dataclasses.dataclass(order=True)
class Entry:
    level: Level
    name: str
    tags: list = dataclasses.field(default_factory=list, compare=False)


@dataclasses.dataclass(frozen=True)
class Other:
    name: str


class Links(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attrs):
        self.links.extend(v for k, v in attrs if k == "href")


sizes = []
for i in range(6):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Jörg <j%d@example.org>" % i
    message["To"] = "a@example.org, \"B, C\" <b@example.org>"
    message["Subject"] = "grüße " * (i + 1)
    message.set_content("plain é\n" * 10)
    message.add_alternative("<p><a href='x%d'>y</a><br/>&amp;</p>" % i, subtype="html")
    message.add_attachment(bytes(range(100)), "application", "octet-stream", filename="a.bin")
    back = email.message_from_bytes(message.as_bytes(), policy=email.policy.default)
    links = Links()
    links.feed(back.get_body(("html",)).get_content())
    sizes.append((len(back["to"].addresses), links.links[0], len(list(back.walk()))))

stream = io.StringIO()
logger = logging.getLogger("a.b")
handler = logging.StreamHandler(stream)
handler.setFormatter(logging.Formatter("%(levelname)s:%(name)s:%(message)s"))
logger.addHandler(handler)
logger.setLevel(logging.INFO)
for i in range(30):
    logger.debug("unseen %d", i)
    logger.info("seen %d", i)
try:
    {}["x"]
except KeyError:
    logger.exception("caught")

config = configparser.ConfigParser()
config.read_string("[a]\nx = 1\ny = %(x)s2\n[b]\n" + "".join("k%d: v\n" % i for i in range(30)))
table = io.StringIO()
writer = csv.DictWriter(table, ["level", "name"], extrasaction="ignore")
entries = [Entry(Level(1 + i % 3), "n%d" % i, [i]) for i in range(50)]
writer.writerows(dataclasses.asdict(e) for e in entries)
again = pickle.loads(pickle._dumps(copy.deepcopy(entries)))
others = {Other("n%d" % (i % 5)) for i in range(20)}
print(sizes[0], len(stream.getvalue().splitlines()) > 30, config["a"]["y"])
print(sorted(again) == sorted(entries))
print(len(others), dataclasses.replace(entries[0], name="z").name, table.getvalue().count("\n"))
