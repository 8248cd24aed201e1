module puller

go 1.26
