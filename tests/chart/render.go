// Renders a chart as Helm does: text/template of Go with the functions of sprig, and the few that Helm adds. It is not
// Helm: hooks, dependencies, schemas of values and the order of kinds are left out.
//
//	render CHART RELEASE NAMESPACE [KEY=JSON]...
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func read(path string) map[string]interface{} {
	text, err := os.ReadFile(path)
	check(err)
	values := map[string]interface{}{}
	check(yaml.UnmarshalStrict(text, &values))
	return values
}

// set puts a value at `a.b.c`.
func set(values map[string]interface{}, key string, value interface{}) {
	steps := strings.Split(key, ".")
	for _, step := range steps[:len(steps)-1] {
		below, ok := values[step].(map[string]interface{})
		if !ok {
			check(fmt.Errorf("there is no value %s", key))
		}
		values = below
	}
	values[steps[len(steps)-1]] = value
}

func main() {
	chart, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	about := read(filepath.Join(chart, "Chart.yaml"))
	values := read(filepath.Join(chart, "values.yaml"))
	for _, given := range os.Args[4:] {
		key, text, _ := strings.Cut(given, "=")
		var value interface{}
		check(json.Unmarshal([]byte(text), &value))
		set(values, key, value)
	}
	// Helm gives the fields of Chart.yaml with a capital.
	upper := map[string]interface{}{}
	for key, value := range about {
		upper[strings.ToUpper(key[:1])+key[1:]] = value
	}
	data := map[string]interface{}{
		"Values":  values,
		"Chart":   upper,
		"Release": map[string]interface{}{"Name": release, "Namespace": namespace, "Service": "Helm"},
	}
	all := template.New("chart").Option("missingkey=error")
	functions := sprig.TxtFuncMap()
	functions["toYaml"] = func(value interface{}) string {
		text, err := yaml.Marshal(value)
		check(err)
		return strings.TrimSuffix(string(text), "\n")
	}
	functions["include"] = func(name string, data interface{}) (string, error) {
		var out bytes.Buffer
		err := all.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	all.Funcs(functions)
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)
	sort.Strings(files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		_, err = all.New(filepath.Base(file)).Parse(string(text))
		check(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "_") {
			continue
		}
		var out bytes.Buffer
		check(all.ExecuteTemplate(&out, name, data))
		if name == "NOTES.txt" {
			fmt.Fprint(os.Stderr, out.String())
		} else if strings.TrimSpace(out.String()) != "" {
			fmt.Printf("---\n# Source: %s\n%s\n", name, strings.TrimSpace(out.String()))
		}
	}
}
