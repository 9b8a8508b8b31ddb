"""Reads findings with somebody else's models. Arguments: `ocsf` or `sarif`, and a file. Prints how many there are."""
import json
import sys

kind, file = sys.argv[1:3]
if kind == "sarif":
    from sarif_pydantic import Sarif

    runs = Sarif.model_validate(json.load(open(file))).runs
    rules = {rule.id for run in runs for rule in run.tool.driver.rules}
    results = [result for run in runs for result in run.results]
    assert all(result.rule_id in rules and result.message.text for result in results), "a result without its rule"
    print(len(results))
else:
    from py_ocsf_models.events.findings.detection_finding import DetectionFinding

    lines = [json.loads(line) for line in open(file)]
    known = set(DetectionFinding.model_fields)
    for line in lines:
        finding = DetectionFinding.model_validate(line)
        assert set(line) <= known, f"no attributes of the class: {set(line) - known}"
        assert finding.type_uid == line["class_uid"] * 100 + line["activity_id"], line["type_uid"]
    print(len(lines))
