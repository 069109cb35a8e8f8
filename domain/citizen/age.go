package citizen

import "time"

// AgeOfMajority is the age in years from which people answer for themselves.
const AgeOfMajority = 18

// MinorUntil is the last civil day (ISO 8601) on which somebody born on a date is a minor: the day before they come of age. Who was born on
// 29 February comes of age on 1 March. Empty for what is no date.
func MinorUntil(birthDate string) string {
	born, err := time.Parse(time.DateOnly, birthDate)
	if err != nil {
		return ""
	}
	return born.AddDate(AgeOfMajority, 0, -1).Format(time.DateOnly)
}
