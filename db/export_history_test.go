package db

// Queries whose plans tests look at.
var (
	MissedQuery = queryMissed
	BodiesQuery = queryBodies
	RecentQuery = queryRecent
)
