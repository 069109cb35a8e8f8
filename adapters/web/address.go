package web

import "strings"

// addressLines writes an address as typed, in the form of the reader's language: nothing of a street or a city is ever translated.
func (w *words) addressLines(data map[string]any) []string {
	first := text(data, "street")
	if unit := text(data, "unit"); unit != "" {
		first = unit + "-" + first
	}
	code := strings.ReplaceAll(text(data, "postal_code"), " ", noBreak)
	province := text(data, "province")
	if text(data, "country") != "CA" {
		return nonEmpty(first, strings.TrimSpace(text(data, "city")+" "+province+noBreak+noBreak+code), text(data, "country"))
	}
	if w.lang == "fr" {
		province = "(" + w.say("province."+province) + ")"
	}
	return nonEmpty(first, text(data, "city")+" "+province+noBreak+noBreak+code)
}

func nonEmpty(lines ...string) []string {
	out := lines[:0]
	for _, line := range lines {
		if strings.Trim(line, " "+noBreak) != "" {
			out = append(out, line)
		}
	}
	return out
}
