#!/usr/bin/env python3
"""OpenStack Swift in one process: the real proxy, account, container and object servers, on loopback.

    openstack.py DIR TOKEN

Everything is kept in DIR. One token is good for one account, AUTH_stream, and nothing is done without it: a site has
Keystone for that, which is another program. Prints the port of the proxy and stays until it is killed.
"""

import os
import sys

import eventlet

eventlet.patcher.monkey_patch()

from eventlet import wsgi  # noqa: E402

import swift.common.utils  # noqa: E402
from swift.account import server as account  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.middleware import bulk, catch_errors, copy, dlo, gatekeeper, slo  # noqa: E402
from swift.common.storage_policy import reload_storage_policies  # noqa: E402
from swift.common.swob import Request, Response  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol  # noqa: E402
from swift.container import server as container  # noqa: E402
from swift.obj import server as objects  # noqa: E402
from swift.proxy import server as proxy  # noqa: E402

ACCOUNT = "AUTH_stream"


class Token:
    """Lets the account's owner do all, and nobody else anything."""

    def __init__(self, app, token):
        self.app, self.token = app, token

    def __call__(self, env, start_response):
        request = Request(env)
        if request.headers.get("X-Auth-Token") != self.token or not request.path.startswith("/v1/%s/" % ACCOUNT):
            return Response(status=401, body=b"no\n")(env, start_response)
        env["swift.authorize"] = lambda request: None
        env["swift_owner"] = True
        return self.app(env, start_response)


def ring(swift_dir, kind, port):
    builder = RingBuilder(2, 1, 0)
    builder.add_dev(
        {"id": 0, "region": 1, "zone": 1, "weight": 1.0, "ip": "127.0.0.1", "port": port, "device": "d"}
    )
    builder.rebalance()
    builder.get_ring().save(os.path.join(swift_dir, kind + ".ring.gz"))


def main():
    home, token = sys.argv[1], sys.argv[2]
    conf_file = os.path.join(home, "swift.conf")
    with open(conf_file, "w") as out:
        out.write("[swift-hash]\nswift_hash_path_prefix = stream\n")
    swift.common.utils.SWIFT_CONF_FILE = conf_file
    swift.common.utils.HASH_PATH_PREFIX = b"stream"
    reload_storage_policies()
    devices = os.path.join(home, "devices")
    os.makedirs(os.path.join(devices, "d"))
    conf = {"devices": devices, "mount_check": "false", "swift_dir": home, "log_level": "WARNING", "fallocate_reserve": "0"}
    pool = eventlet.GreenPool()
    for kind, controller in [
        ("account", account.AccountController),
        ("container", container.ContainerController),
        ("object", objects.ObjectController),
    ]:
        listener = eventlet.listen(("127.0.0.1", 0))
        ring(home, kind, listener.getsockname()[1])
        serve(pool, listener, controller(conf))
    # The proxy's own middleware: what `X-Copy-From` and segmented objects need, and no cache.
    app = proxy.Application({**conf, "account_autocreate": "true", "allow_account_management": "true"})
    for factory in [dlo.filter_factory, slo.filter_factory, copy.filter_factory, bulk.filter_factory]:
        app = factory(conf)(app)
    app = Token(app, token)
    app = gatekeeper.filter_factory(conf)(app)
    app = catch_errors.filter_factory(conf)(app)
    listener = eventlet.listen(("127.0.0.1", 0))
    print("port %d" % listener.getsockname()[1], flush=True)
    serve(pool, listener, app)
    pool.waitall()


def serve(pool, listener, app):
    quiet = open(os.devnull, "w")
    pool.spawn(wsgi.server, listener, app, log=quiet, protocol=SwiftHttpProtocol, debug=False)


if __name__ == "__main__":
    main()
