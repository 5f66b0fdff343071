//! OpenDAL's services, including those left out of this build.

use opendal::{Builder, Operator};

use crate::options::Spec;

/// How object names are laid out, for those who make names of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Directories: hashed directories, one directory for each object, as git-annex's webdav and directory types have.
    Tree,
    /// A name space without levels: the plain name, as git-annex's S3 type has.
    Flat,
}

/// How bytes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// In parts, this many at most.
    Parts(u64),
    /// As one stream of any length.
    Stream,
    /// The whole object in one request.
    Whole,
    /// Not at all.
    Nothing,
}

/// What keeps an unfinished object from being seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// The service itself shows an object only when it is whole.
    Service,
    /// It is written under another name and renamed.
    Rename,
    /// Nothing does: the length is checked afterwards, and an object that is wrong is removed.
    Check,
}

/// Makes an operator from OpenDAL's own option names and values. No network.
pub(super) type Build = fn(Vec<(String, String)>) -> opendal::Result<Operator>;

/// A service and how it is used.
pub struct Service {
    /// Value of `scheme=`, as OpenDAL calls it.
    pub scheme: &'static str,
    /// The cargo feature of this crate that builds it in.
    pub feature: &'static str,
    /// How object names are laid out.
    pub layout: Layout,
    /// How bytes are taken.
    pub intake: Intake,
    /// What keeps unfinished objects from being seen.
    pub commit: Commit,
    /// Ranges of one object that are read side by side.
    pub width: usize,
    /// Options that must be given.
    pub required: &'static [&'static str],
    /// All options, by OpenDAL's names.
    pub options: &'static [Spec],
    /// What else a user should know.
    pub note: &'static str,
    /// The real server it was tried with, and when; `None` where nobody did.
    pub tried: Option<&'static str>,
    /// Absent where the feature is off.
    pub(super) build: Option<Build>,
    /// Every option name OpenDAL knows.
    #[cfg(test)]
    pub(super) known: Option<Known>,
}

impl Service {
    /// True where it is part of this build.
    pub fn is_built(&self) -> bool {
        self.build.is_some()
    }

    /// True where a directory that is removed while something comes into it stays. Elsewhere all goes that is in it.
    pub(super) fn spares_full_directories(&self) -> bool {
        self.scheme == "sftp"
    }

    /// True where a list tells the same tag as a look at each. OpenDAL leaves Swift's ETags out of lists.
    pub(super) fn lists_tags(&self) -> bool {
        self.scheme != "swift"
    }

    /// Whether a name comes back from it as it was given. Errors: why not.
    pub(super) fn keeps(&self, name: &str) -> Result<(), &'static str> {
        if name.trim() != name {
            return Err("names must not start or end with white space on this service");
        }
        // XML has no words for them: a server tells of the file under another name, or of none.
        if self.scheme == "webdav" && name.chars().any(|c| c.is_control() && c != '\t') {
            return Err("names must not hold control characters on this service");
        }
        Ok(())
    }
}

fn build<B: Builder>(options: Vec<(String, String)>) -> opendal::Result<Operator> {
    Operator::from_iter::<B>(options)
}

#[cfg(test)]
pub(super) type Known = fn(Vec<(String, String)>) -> Vec<String>;

#[cfg(test)]
pub(super) fn known<B: Builder>(sample: Vec<(String, String)>) -> Vec<String> {
    use opendal::Configurator;
    let config = B::Config::from_iter(sample).expect("a sample is a configuration");
    let value = serde_json::to_value(config).expect("a configuration is a map");
    value.as_object().expect("a configuration is a map").keys().cloned().collect()
}

const fn plain(name: &'static str, about: &'static str) -> Spec {
    Spec::plain(name, about)
}

const fn secret(name: &'static str, about: &'static str) -> Spec {
    Spec::secret(name, about)
}

const ROOT: Spec = Spec::plain("root", "OpenDAL: path below which everything is stored");
const ENDPOINT: Spec = Spec::plain("endpoint", "OpenDAL: where the service is, as an URL");
const BUCKET: Spec = Spec::plain("bucket", "OpenDAL: name of the bucket");
const USERNAME: Spec = Spec::plain("username", "OpenDAL: name of the user");
const PASSWORD: Spec = Spec::secret("password", "OpenDAL: password of the user");
const TOKEN: Spec = Spec::secret("token", "OpenDAL: access token");
const ACCOUNT: Spec = Spec::plain("account_name", "OpenDAL: name of the storage account");
const ACCOUNT_KEY: Spec = Spec::secret("account_key", "OpenDAL: key of the storage account");
const SAS: Spec = Spec::secret("sas_token", "OpenDAL: shared access signature");
const ACCESS_TOKEN: Spec = Spec::secret("access_token", "OpenDAL: OAuth access token");
const REFRESH_TOKEN: Spec = Spec::secret("refresh_token", "OpenDAL: OAuth refresh token");
const CLIENT_ID: Spec = Spec::plain("client_id", "OpenDAL: OAuth client");
const CLIENT_SECRET: Spec = Spec::secret("client_secret", "OpenDAL: secret of the OAuth client");
const KEY_ID: Spec = Spec::plain("access_key_id", "OpenDAL: id of the access key");
const SECRET_KEY: Spec = Spec::secret("secret_access_key", "OpenDAL: secret of the access key");
const SECURITY_TOKEN: Spec = Spec::secret("security_token", "OpenDAL: token of a temporary access key");
const CONNECTION: Spec = Spec::secret("connection_string", "OpenDAL: URL of the database, with its password");
const DATABASE: Spec = Spec::plain("database", "OpenDAL: name of the database");
const TABLE: Spec = Spec::plain("table", "OpenDAL: name of the table");
const KEY_FIELD: Spec = Spec::plain("key_field", "OpenDAL: column that holds names");
const VALUE_FIELD: Spec = Spec::plain("value_field", "OpenDAL: column that holds contents");
const OAUTH: &[Spec] = &[ROOT, ACCESS_TOKEN, REFRESH_TOKEN, CLIENT_ID, CLIENT_SECRET];

/// Most parts of one upload where nothing else is known; S3 set the custom.
const PARTS: Intake = Intake::Parts(10_000);

/// How services are tried that are in the tests.
macro_rules! tried {
    () => {
        None
    };
    ($with:literal) => {
        Some($with)
    };
}

macro_rules! service {
    ($feature:literal $scheme:literal $builder:ident: $layout:ident, $intake:expr, $commit:ident, width $width:literal;
     required [$($required:literal),*]; options $options:expr; $note:literal $(; tried $tried:literal)?) => {
        Service {
            scheme: $scheme,
            feature: $feature,
            layout: Layout::$layout,
            intake: $intake,
            commit: Commit::$commit,
            width: $width,
            required: &[$($required),*],
            options: $options,
            note: $note,
            tried: tried!($($tried)?),
            build: {
                #[cfg(feature = $feature)]
                let built: Option<Build> = Some(build::<opendal::services::$builder>);
                #[cfg(not(feature = $feature))]
                let built: Option<Build> = None;
                built
            },
            #[cfg(test)]
            known: {
                #[cfg(feature = $feature)]
                let known: Option<Known> = Some(known::<opendal::services::$builder>);
                #[cfg(not(feature = $feature))]
                let known: Option<Known> = None;
                known
            },
        }
    };
}

/// Every service of OpenDAL that can be built without a system library and keeps what it is given.
///
/// What docs/stores.md says of them is this table.
#[rustfmt::skip]
pub const SERVICES: &[Service] = &[
    service!("service-webdav" "webdav" Webdav: Tree, Intake::Whole, Rename, width 1;
        required ["endpoint"]; options &[ENDPOINT, ROOT, USERNAME, PASSWORD, TOKEN];
        "The server must know MOVE.";
        tried "`rclone serve webdav` 1.75.2, every `make test`"),
    service!("service-sftp" "sftp" Sftp: Tree, Intake::Stream, Rename, width 1;
        required ["endpoint"]; options &[ENDPOINT, ROOT,
            plain("user", "OpenDAL: name of the user"),
            plain("key", "OpenDAL: path of the private key"),
            plain("known_hosts_strategy", "OpenDAL: Strict, Accept (new hosts) or Add (any host)")];
        "Runs the `ssh` program; keys only, no passwords.";
        tried "OpenSSH's sshd of the system, every `make test`"),
    service!("service-azblob" "azblob" Azblob: Flat, PARTS, Service, width 4;
        required ["container", "endpoint"]; options &[ENDPOINT, ROOT, ACCOUNT, ACCOUNT_KEY, SAS,
            plain("container", "OpenDAL: name of the container"),
            secret("encryption_key", "OpenDAL: key the service encrypts with, base64"),
            plain("encryption_key_sha256", "OpenDAL: digest of encryption_key"),
            plain("encryption_algorithm", "OpenDAL: AES256"),
            plain("skip_signature", "OpenDAL: true to read without credentials")];
        "Blocks of an aborted upload expire after a week.";
        tried "Azurite 3.35.0, every `make test`"),
    service!("service-gcs" "gcs" Gcs: Flat, PARTS, Service, width 4;
        required ["bucket"]; options &[BUCKET, ENDPOINT, ROOT, TOKEN,
            plain("scope", "OpenDAL: OAuth scope"),
            plain("service_account", "OpenDAL: name of the service account"),
            secret("credential", "OpenDAL: credentials as base64 of their JSON"),
            plain("credential_path", "OpenDAL: file with the credentials"),
            plain("predefined_acl", "OpenDAL: ACL of new objects"),
            plain("default_storage_class", "OpenDAL: storage class of new objects"),
            plain("skip_signature", "OpenDAL: true to read without credentials"),
            plain("disable_vm_metadata", "OpenDAL: true to not ask the machine for credentials"),
            plain("disable_config_load", "OpenDAL: true to not look for credentials in the environment")];
        ""),
    service!("service-b2" "b2" B2: Flat, PARTS, Service, width 4;
        required ["bucket", "bucket_id", "application_key_id", "application_key"]; options &[BUCKET, ROOT,
            plain("bucket_id", "OpenDAL: id of the bucket"),
            plain("application_key_id", "OpenDAL: id of the application key"),
            secret("application_key", "OpenDAL: the application key")];
        ""),
    service!("service-swift" "swift" Swift: Flat, Intake::Whole, Service, width 4;
        required ["endpoint", "container", "token"]; options &[ENDPOINT, ROOT, TOKEN,
            plain("container", "OpenDAL: name of the container"),
            secret("temp_url_key", "OpenDAL: key that signs temporary URLs"),
            plain("temp_url_hash_algorithm", "OpenDAL: sha1, sha256 or sha512")];
        "In one request: segments would stay behind when an object is removed.";
        tried "OpenStack Swift 2.38.3, every `make test`"),
    service!("service-http" "http" Http: Tree, Intake::Nothing, Service, width 4;
        required ["endpoint"]; options &[ENDPOINT, ROOT, USERNAME, PASSWORD, TOKEN];
        "Any web server.";
        tried "`rclone serve http` 1.75.2, every `make test`"),
    service!("service-aliyun-drive" "aliyun-drive" AliyunDrive: Tree, PARTS, Service, width 1;
        required ["drive_type"]; options &[ROOT, ACCESS_TOKEN, REFRESH_TOKEN, CLIENT_ID, CLIENT_SECRET,
            plain("drive_type", "OpenDAL: default, resource or backup")];
        ""),
    service!("service-azdls" "azdls" Azdls: Tree, PARTS, Rename, width 4;
        required ["filesystem", "endpoint"]; options &[ENDPOINT, ROOT, ACCOUNT, ACCOUNT_KEY, SAS, CLIENT_ID, CLIENT_SECRET,
            plain("filesystem", "OpenDAL: name of the file system"),
            plain("tenant_id", "OpenDAL: tenant of the client"),
            plain("authority_host", "OpenDAL: where to authenticate"),
            plain("enable_hns", "OpenDAL: true if directories are real")];
        ""),
    service!("service-azfile" "azfile" Azfile: Tree, Intake::Whole, Rename, width 1;
        required ["share_name", "account_name", "endpoint"]; options &[ENDPOINT, ROOT, ACCOUNT, ACCOUNT_KEY, SAS,
            plain("share_name", "OpenDAL: name of the share")];
        "4 MiB at most: needs chunk=."),
    service!("service-cos" "cos" Cos: Flat, PARTS, Service, width 4;
        required ["bucket", "endpoint"]; options &[BUCKET, ENDPOINT, ROOT, SECURITY_TOKEN,
            plain("secret_id", "OpenDAL: id of the secret"),
            secret("secret_key", "OpenDAL: the secret"),
            plain("disable_config_load", "OpenDAL: true to not look for credentials in the environment")];
        ""),
    service!("service-d1" "d1" D1: Flat, Intake::Whole, Service, width 1;
        required ["token", "account_id", "database_id", "table"]; options &[ROOT, TOKEN, TABLE, KEY_FIELD, VALUE_FIELD,
            plain("account_id", "OpenDAL: id of the account"),
            plain("database_id", "OpenDAL: id of the database")];
        "1 MB at most: needs chunk=."),
    service!("service-dropbox" "dropbox" Dropbox: Tree, Intake::Whole, Service, width 1;
        required []; options OAUTH;
        ""),
    service!("service-ftp" "ftp" Ftp: Tree, Intake::Stream, Service, width 1;
        required ["endpoint"]; options &[ENDPOINT, ROOT, PASSWORD, plain("user", "OpenDAL: name of the user")];
        "Written under another name and renamed by the service's driver; a file that is there already may be refused."),
    service!("service-gdrive" "gdrive" Gdrive: Tree, Intake::Whole, Service, width 1;
        required []; options OAUTH;
        ""),
    service!("service-github" "github" Github: Flat, Intake::Whole, Service, width 1;
        required ["token", "owner", "repo"]; options &[ROOT, TOKEN,
            plain("owner", "OpenDAL: owner of the repository"),
            plain("repo", "OpenDAL: name of the repository")];
        "Every object is a commit; 100 MB at most."),
    service!("service-goosefs" "goosefs" GooseFs: Tree, Intake::Stream, Rename, width 1;
        required ["master_addr"]; options &[ROOT,
            plain("master_addr", "OpenDAL: addresses of the masters"),
            plain("write_type", "OpenDAL: must_cache, cache_through, through or async_through"),
            plain("auth_type", "OpenDAL: nosasl or simple"),
            plain("auth_username", "OpenDAL: name of the user")];
        "write_type= must reach the storage below: a cache may forget."),
    service!("service-gridfs" "gridfs" Gridfs: Flat, Intake::Whole, Service, width 1;
        required ["connection_string", "database"]; options &[BUCKET, ROOT, CONNECTION, DATABASE];
        ""),
    service!("service-hdfs-native" "hdfs-native" HdfsNative: Tree, Intake::Whole, Rename, width 1;
        required ["name_node"]; options &[ROOT, plain("name_node", "OpenDAL: address of the name node")];
        ""),
    service!("service-ipfs" "ipfs" Ipfs: Tree, Intake::Nothing, Service, width 1;
        required ["endpoint", "root"]; options &[ENDPOINT, ROOT];
        "root=/ipfs/CID or /ipns/NAME."),
    service!("service-ipmfs" "ipmfs" Ipmfs: Tree, Intake::Whole, Check, width 1;
        required ["endpoint"]; options &[ENDPOINT, ROOT];
        ""),
    service!("service-koofr" "koofr" Koofr: Tree, Intake::Whole, Service, width 1;
        required ["endpoint", "email", "password"]; options &[ENDPOINT, ROOT, PASSWORD,
            plain("email", "OpenDAL: address of the user")];
        ""),
    service!("service-lakefs" "lakefs" Lakefs: Flat, Intake::Whole, Service, width 1;
        required ["endpoint", "username", "password", "repository"]; options &[ENDPOINT, ROOT, USERNAME, PASSWORD,
            plain("repository", "OpenDAL: name of the repository"),
            plain("branch", "OpenDAL: branch")];
        "Written, not committed to the branch's history."),
    service!("service-mongodb" "mongodb" Mongodb: Flat, Intake::Whole, Service, width 1;
        required ["connection_string", "database", "collection"]; options &[ROOT, CONNECTION, DATABASE, KEY_FIELD, VALUE_FIELD,
            plain("collection", "OpenDAL: name of the collection")];
        "16 MB at most: needs chunk=."),
    service!("service-obs" "obs" Obs: Flat, PARTS, Service, width 4;
        required ["bucket", "endpoint"]; options &[BUCKET, ENDPOINT, ROOT, KEY_ID, SECRET_KEY];
        ""),
    service!("service-onedrive" "onedrive" Onedrive: Tree, Intake::Whole, Service, width 1;
        required []; options OAUTH;
        ""),
    service!("service-oss" "oss" Oss: Flat, PARTS, Service, width 4;
        required ["bucket", "endpoint"]; options &[BUCKET, ENDPOINT, ROOT, KEY_ID, SECURITY_TOKEN,
            secret("access_key_secret", "OpenDAL: secret of the access key"),
            plain("addressing_style", "OpenDAL: virtual, path or cname"),
            plain("server_side_encryption", "OpenDAL: AES256, KMS or SM4"),
            plain("server_side_encryption_key_id", "OpenDAL: id of the KMS key"),
            plain("skip_signature", "OpenDAL: true to read without credentials"),
            plain("role_arn", "OpenDAL: role to assume"),
            plain("role_session_name", "OpenDAL: name of the role's session"),
            plain("oidc_provider_arn", "OpenDAL: identity provider"),
            plain("oidc_token_file", "OpenDAL: file with the provider's token"),
            plain("sts_endpoint", "OpenDAL: where roles are assumed"),
            plain("external_id", "OpenDAL: external id of the role")];
        ""),
    service!("service-pcloud" "pcloud" Pcloud: Tree, Intake::Whole, Service, width 1;
        required ["endpoint", "username", "password"]; options &[ENDPOINT, ROOT, USERNAME, PASSWORD];
        ""),
    service!("service-redis" "redis" Redis: Flat, Intake::Whole, Service, width 1;
        required ["endpoint"]; options &[ENDPOINT, ROOT, USERNAME, PASSWORD,
            plain("db", "OpenDAL: number of the database")];
        "512 MB at most. As lasting as the server's configuration makes it."),
    service!("service-seafile" "seafile" Seafile: Tree, Intake::Whole, Service, width 1;
        required ["endpoint", "username", "password", "repo_name"]; options &[ENDPOINT, ROOT, USERNAME, PASSWORD,
            plain("repo_name", "OpenDAL: name of the library")];
        ""),
    service!("service-tikv" "tikv" Tikv: Flat, Intake::Whole, Service, width 1;
        required ["endpoints"]; options &[
            plain("endpoints", "OpenDAL: addresses, with commas between them"),
            plain("insecure", "OpenDAL: true to use no TLS"),
            plain("ca_path", "OpenDAL: file with the certificate authority"),
            plain("cert_path", "OpenDAL: file with the client's certificate"),
            plain("key_path", "OpenDAL: file with the client's key")];
        "About 6 MB at most: needs chunk=."),
    service!("service-tos" "tos" Tos: Flat, PARTS, Service, width 4;
        required ["bucket"]; options &[BUCKET, ENDPOINT, ROOT, KEY_ID, SECRET_KEY, SECURITY_TOKEN,
            plain("region", "OpenDAL: region of the bucket"),
            plain("disable_config_load", "OpenDAL: true to not look for credentials in the environment"),
            plain("skip_signature", "OpenDAL: true to read without credentials")];
        ""),
    service!("service-upyun" "upyun" Upyun: Tree, PARTS, Service, width 1;
        required ["bucket", "operator", "password"]; options &[BUCKET, ROOT, PASSWORD,
            plain("operator", "OpenDAL: name of the operator")];
        ""),
    service!("service-vercel-blob" "vercel-blob" VercelBlob: Flat, PARTS, Service, width 1;
        required ["token"]; options &[ROOT, TOKEN];
        ""),
    service!("service-webhdfs" "webhdfs" Webhdfs: Tree, Intake::Whole, Check, width 1;
        required ["endpoint"]; options &[ENDPOINT, ROOT,
            plain("user_name", "OpenDAL: name of the user"),
            secret("delegation", "OpenDAL: delegation token"),
            plain("disable_list_batch", "OpenDAL: true for old servers"),
            plain("atomic_write_dir", "OpenDAL: directory for parts of files")];
        "OpenDAL knows no rename here."),
    service!("service-yandex-disk" "yandex-disk" YandexDisk: Tree, Intake::Whole, Service, width 1;
        required ["access_token"]; options &[ROOT, ACCESS_TOKEN];
        ""),
];
