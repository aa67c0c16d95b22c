module writ.example/interop/crl

go 1.19
