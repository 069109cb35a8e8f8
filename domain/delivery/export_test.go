package delivery

// Arrived is how many readers have come to a lane so far.
func (d *Delivery) Arrived(stream string, lane int) int64 { return d.desk(stream, lane).arrived.Load() }
