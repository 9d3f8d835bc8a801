package db

// ReadQuery lets tests look at its plan.
var ReadQuery = queryRead

// LockRetention lets tests be another node.
const LockRetention = lockRetention
