package web

// receiptLive tells a receipt's page how each ministry's answer stands.
func (s *server) receiptLive(r *request) error {
	return s.keepUpToDate(r, "receipt", false, func() (any, bool, error) {
		v, err := s.receipt(r)
		return v, v.Over, err
	})
}
