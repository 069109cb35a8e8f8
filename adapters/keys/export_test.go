package keys

// FormatLine is a line of the file of wrapping keys.
var FormatLine = formatLine
