package notice

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	"text/template"
)

// Languages are those of the templates.
var languages = []string{"en", "fr"}

// names are all templates.
var names = []string{templateChanged, templateConfirmed, templateAgreement, templateFrozen, templateUnfrozen, templateAnswered}

//go:embed templates
var files embed.FS

// templates are the texts of notices. A file per template and language holds three: subject, text (of e-mails and letters) and short (of text
// messages). The HTML of an e-mail is its text in paragraphs, so that the two can't say different things.
type templates struct {
	texts map[string]*template.Template // by template and language
	html  *htmltemplate.Template
}

// page is what a template may say. No value of a citizen's is in it.
type page struct {
	What      string // what was changed, in words
	Agreement string // its title
	Child     bool   // it is about a child in the reader's care
	Link      string // by which the reader says that it was not them; empty: none
	SignIn    string // where to sign in
}

func loadTemplates() (t templates, err error) {
	t.texts = map[string]*template.Template{}
	if t.html, err = htmltemplate.ParseFS(files, "templates/layout.html"); err != nil {
		return t, fmt.Errorf("notice: %w", err)
	}
	for _, name := range names {
		for _, language := range languages {
			file := name + "." + language + ".txt"
			parsed, err := template.New(file).Option("missingkey=error").ParseFS(files, "templates/"+file, "templates/close."+language+".txt")
			if err != nil {
				return t, fmt.Errorf("notice: %w", err)
			}
			t.texts[name+" "+language] = parsed
		}
	}
	return t, nil
}

// write fills in a notice's texts, in its language and for its channel.
func (t templates) write(n *Notice, name string, data page) error {
	parsed := t.texts[name+" "+n.Language]
	say := func(part string) (string, error) {
		var b strings.Builder
		err := parsed.ExecuteTemplate(&b, part, data)
		return strings.TrimSpace(b.String()), err
	}
	part := "text"
	if n.Channel == "text" {
		part = "short"
	}
	var err error
	if n.Text, err = say(part); err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	if part == "short" {
		return nil
	}
	n.Text += "\n"
	if n.Subject, err = say("subject"); err != nil {
		return fmt.Errorf("notice: %w", err)
	}
	if n.Channel == "email" {
		n.HTML, err = t.paragraphs(n)
	}
	return err
}

// paragraph is one of a text: words, or a link alone.
type paragraph struct{ Words, Link string }

func (t templates) paragraphs(n *Notice) (string, error) {
	var list []paragraph
	for _, block := range strings.Split(strings.TrimSpace(n.Text), "\n\n") {
		block = strings.ReplaceAll(block, "\n", " ")
		if strings.HasPrefix(block, "http://") || strings.HasPrefix(block, "https://") {
			list = append(list, paragraph{Link: block})
			continue
		}
		list = append(list, paragraph{Words: block})
	}
	var b strings.Builder
	err := t.html.Execute(&b, map[string]any{"Language": n.Language, "Subject": n.Subject, "Paragraphs": list})
	if err != nil {
		return "", fmt.Errorf("notice: %w", err)
	}
	return b.String(), nil
}
