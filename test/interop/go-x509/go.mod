module writ.example/interop/x509

go 1.19
