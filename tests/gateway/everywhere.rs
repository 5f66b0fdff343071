//! Tests on gateways with something behind them, over both wires.

/// A test on several gateways, each over HTTP and over stdio: `everywhere!(Proxy, test { kind: what is behind it })`.
macro_rules! everywhere {
    ($gateway:ident, $test:ident { $($kind:ident: $behind:expr,)+ }) => {
        mod $test {
            use super::*;
            $(mod $kind {
                use super::*;
                #[test]
                fn over_http() {
                    let gateway = $gateway::new($behind);
                    let server = Gateway::serve(&gateway.repo, &["--wideopen", "--quiet"]);
                    super::super::$test(&gateway, &gateway.client(&server));
                    server.stop();
                }
                #[test]
                fn over_stdio() {
                    let (gateway, ssh) = ($gateway::new($behind), Ssh::new());
                    super::super::$test(&gateway, &gateway.client_by(&ssh));
                }
            })+
        }
    };
}
