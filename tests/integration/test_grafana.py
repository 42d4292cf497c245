#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker/grafana without a Grafana: what it would ask the store is asked, with the demo in a PostgreSQL that was set up as compose sets it up, as the user
and with the password of the provisioned data source, the dashboard's macros and variables put in as Grafana does."""

import csv
import datetime
import io
import json
import pathlib
import re
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import harness  # noqa: E402
import keep  # noqa: E402
import postgres  # noqa: E402
from harness import expect  # noqa: E402
from test_compose import DOCKER, compose, output, postgres_started, yaml  # noqa: E402

NOW = datetime.datetime(2026, 11, 22, 9, tzinfo=datetime.timezone.utc)
LONG_AGO = NOW - datetime.timedelta(days=9000)
PROVISIONING = "/etc/grafana/provisioning"
PANELS = {"Posts a day by label", "Wishes", "Complaints by theme", "Newest posts"}


def mounted(path):
    """The file of docker/ that Grafana's container has at `path`."""
    for volume in compose()["services"]["grafana"]["volumes"]:
        source, target = volume.split(":")[:2]
        if path.startswith(target + "/") and source.startswith("."):
            return DOCKER / source / path[len(target) + 1:]
    raise harness.Failure(f"nothing is mounted at {path}")


def dashboard():
    given = compose()["services"]["grafana"]["environment"]
    return json.loads(mounted(given["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]).read_text(encoding="utf-8"))


def source():
    (only,) = yaml(mounted(f"{PROVISIONING}/datasources/earshot.yaml"))["datasources"]
    return only


def what_is_provisioned_is_mounted_and_fits():
    whole = compose()
    service = whole["services"]["grafana"]
    expect(service["profiles"] == ["grafana"] and re.fullmatch(r"grafana/grafana:\d+\.\d+\.\d+", service["image"]), "Grafana is no profile, or of any version")
    expect(service["ports"] == ["127.0.0.1:3000:3000"], f"Grafana listens on {service['ports']}")
    secrets = {f"/run/secrets/{name}" for name in service["secrets"]}
    expect(service["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"] in secrets, "the password of admin is not mounted")
    expect(source()["secureJsonData"]["password"] in {f"$__file{{{path}}}" for path in secrets}, "the password of the data source is not mounted")
    (provider,) = yaml(mounted(f"{PROVISIONING}/dashboards/earshot.yaml"))["providers"]
    board = dashboard()
    home = pathlib.PurePosixPath(service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    expect(provider["options"]["path"] == str(home.parent), f"dashboards are looked for in {provider['options']['path']}")
    expect({panel["title"] for panel in board["panels"]} == PANELS, f"the panels are {[panel['title'] for panel in board['panels']]}")
    expect(len({panel["id"] for panel in board["panels"]}) == len(PANELS), "two panels have one id")
    asked = [*board["panels"], *board["templating"]["list"], *(target for panel in board["panels"] for target in panel["targets"])]
    expect({one["datasource"]["uid"] for one in asked} == {source()["uid"]}, "a panel asks another data source")


def queries(board):
    """(name, SQL) of everything that the dashboard asks."""
    return [(panel["title"], target["rawSql"]) for panel in board["panels"] for target in panel["targets"]] + \
           [(variable["name"], variable["query"]) for variable in board["templating"]["list"]]


def put_in(sql, brand, since, until):
    """As Grafana does: its page the variables, its server the macros."""
    quoted = "'" + brand.replace("'", "''") + "'"
    sql = sql.replace("${brand:sqlstring}", quoted)
    sql = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 BETWEEN '{since:%Y-%m-%dT%H:%M:%SZ}' AND '{until:%Y-%m-%dT%H:%M:%SZ}'", sql)
    expect("$" not in sql, f"what Grafana puts in here is not known: {sql}")
    return sql


class Login:
    """The data source of Grafana: its user, its password, its database."""

    def __init__(self, server, docker):
        made = source()
        name = re.fullmatch(r"\$__file\{/run/secrets/(\w+)\}", made["secureJsonData"]["password"]).group(1)
        password = (docker / compose()["secrets"][name]["file"]).read_text(encoding="ascii")
        self.psql = [str(server.bin / "psql"), "-X", "-q", "--csv", "-v", "ON_ERROR_STOP=1", "-d",
                     f"postgresql://{made['user']}:{password}@{keep.LOOPBACK}:{server.port}/{made['jsonData']['database']}"]

    def ask(self, sql):
        """(columns, rows as dictionaries)."""
        reader = csv.DictReader(io.StringIO(output(*self.psql, "-c", sql)))
        rows = list(reader)
        return set(reader.fieldnames), rows

    def refused(self, sql):
        done = subprocess.run([*self.psql, "-c", sql], capture_output=True, text=True, check=False)
        return done.returncode != 0 and "permission denied" in done.stderr


def with_the_demo(folder, place):
    """A PostgreSQL as compose starts it, the demo carried through to it."""
    docker = folder / "docker"
    shutil.copytree(DOCKER, docker, ignore=shutil.ignore_patterns("secrets", ".env"))
    output(docker / "new-secrets")
    server = postgres_started(compose(), docker)
    try:
        demo = harness.ROOT / "collectors" / "demo"
        for file in demo.iterdir():
            if file.suffix in (".ndjson", ".csv"):
                shutil.copy(file, folder)
        place.configure((demo / "earshot.yaml").read_text(encoding="utf-8") + f'sinks: [{{store: {{url: "{server.address("earshot")}"}}}}, {{trends: {{}}}}]\n')
        place.run("run", "--once", "--now", f"{NOW:%Y-%m-%dT%H:%M:%SZ}")
        return server, Login(server, docker)
    except BaseException:
        server.stop()
        raise


def every_panel_shows_the_demo_to_the_reader():
    board = dashboard()
    days = int(re.fullmatch(r"now-(\d+)d", board["time"]["from"]).group(1))
    since = NOW - datetime.timedelta(days=days)
    with harness.place() as place:
        server, login = with_the_demo(place.folder, place)
        try:
            said = {}
            brands = login.ask(put_in(dict(queries(board))["brand"], "", since, NOW))[1]
            expect(brands[0]["brand"] == "Tandelo", f"the brand that is shown first is {brands[0]}")
            for name, sql in queries(board):
                read = re.findall(r"\b(?:FROM|JOIN)\s+(\S+)", sql)
                expect(read and all(view.startswith("v1.") for view in read), f"{name} reads {read}")
                columns, said[name] = login.ask(put_in(sql, "Tandelo", since, NOW))
                expect(said[name], f"{name} shows nothing")
                if name != "brand":
                    expect(not login.ask(put_in(sql, "Tandelo", LONG_AGO, LONG_AGO))[1], f"{name} is not bound to the time that is looked at")
                    expect(not login.ask(put_in(sql, "O'Nobody", since, NOW))[1], f"{name} is not bound to the brand")
                for panel in board["panels"]:
                    formatted = {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
                    expect(panel["title"] != name or formatted <= columns, f"{name} formats {formatted}, its columns are {columns}")
            expect({row["metric"] for row in said["Posts a day by label"]} >= {"wish", "complaint", "praise"}, "a label is missing")
            expect(any(row["link"].startswith("https://") for row in said["Newest posts"]), "no post has a link")
            stamps = [row["when"] for row in said["Newest posts"]]
            expect(stamps == sorted(stamps, reverse=True), "the newest posts are not in order")
            for sql in ("SELECT 1 FROM earshot.insight", "DELETE FROM v1.post_insight", "CREATE TABLE v1.mine (n int)", "CREATE TABLE mine (n int)"):
                expect(login.refused(sql), f"Grafana's user may {sql}")
        finally:
            server.stop()


if __name__ == "__main__":
    try:
        postgres.programs()
    except keep.Missing as why:
        harness.skip(str(why))
    sys.exit(harness.main(what_is_provisioned_is_mounted_and_fits, every_panel_shows_the_demo_to_the_reader))
