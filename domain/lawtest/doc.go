// Package lawtest holds the test of the law as a whole: random interleavings of everything that people, officers and ministries may do,
// judged afterwards by a checker that shares no rule with the hub. It has no code of its own outside its tests.
package lawtest
