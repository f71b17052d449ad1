namespace Millrace.Coordination.Store;

/// <summary>A request that cannot be done in this state. The code is gRPC's; clients of etcd look at the exact text.</summary>
internal sealed class StoreException(int code, string text) : Exception(text)
{
    public int Code => code;
}

/// <summary>etcd's errors (api/v3rpc/rpctypes/error.go).</summary>
internal static class StoreErrors
{
    public static StoreException EmptyKey => Invalid("key is not provided");

    public static StoreException KeyNotFound => Invalid("key not found");

    public static StoreException ValueProvided => Invalid("value is provided");

    public static StoreException LeaseProvided => Invalid("lease is provided");

    public static StoreException TooManyOps => Invalid("too many operations in txn request");

    public static StoreException DuplicateKey => Invalid("duplicate key given in txn request");

    public static StoreException InvalidSortOption => Invalid("invalid sort option");

    public static StoreException RequestTooLarge => Invalid("request is too large");

    public static StoreException MemberBadUrls => Invalid("given member URLs are invalid");

    public static StoreException AuthFailed => Invalid("authentication failed, invalid user ID or password");

    /// <summary>etcd gives this one without its prefix and without a code.</summary>
    public static StoreException PasswordTooLong => new(2, "bcrypt: password length exceeds 72 bytes");

    public static StoreException NoPasswordUser => new(2, "auth: authentication failed, password was given for no password user");

    public static StoreException DowngradeFormat => Invalid("wrong downgrade target version format");

    public static StoreException DowngradeTarget => Invalid("invalid downgrade target version");

    /// <summary>Ours alone: no older Millrace reads another format than this one, so there is nothing to enable.</summary>
    public static StoreException NoDowngrade => New(9, "a downgrade needs no preparation here: formats on disk carry their own version");

    public static StoreException UserEmpty => Invalid("user name is empty");

    public static StoreException RoleEmpty => Invalid("role name is empty");

    public static StoreException LeaseNotFound => New(5, "requested lease not found");

    /// <summary>Ours alone: with a second voter that can never be reached the group would stop for ever.</summary>
    public static StoreException NoPeerPort => New(9, "this member listens for no others; give it a port for members first: "
        + "members in millrace.yaml, or cluster start --members");

    /// <summary>Ours alone.</summary>
    public static StoreException FixedMembers => New(9, "the members of a group that runs fast-paxos are fixed; begin it with raft or multi-paxos to change them");

    public static StoreException MemberNotFound => New(5, "member not found");

    public static StoreException LeaseExists => New(9, "lease already exists");

    public static StoreException LeaseTtlTooLarge => New(11, "too large lease TTL");

    public static StoreException Compacted => New(11, "mvcc: required revision has been compacted");

    public static StoreException FutureRevision => New(11, "mvcc: required revision is a future revision");

    public static StoreException NoSpace => New(8, "mvcc: database space exceeded");

    public static StoreException TooManyRequests => New(8, "too many requests");

    public static StoreException MemberExists => New(9, "member ID already exist");

    public static StoreException PeerUrlExists => New(9, "Peer URLs already exists");

    public static StoreException LearnerNotReady => New(9, "can only promote a learner member which is in sync with leader");

    public static StoreException MemberNotLearner => New(9, "can only promote a learner member");

    public static StoreException TooManyLearners => New(9, "too many learner members in cluster");

    public static StoreException Unhealthy => New(14, "unhealthy cluster");

    public static StoreException NotEnoughStarted => New(9, "re-configuration failed due to not enough started members");

    public static StoreException NotLeader => New(9, "not leader");

    public static StoreException BadTransferee => New(9, "bad leader transferee");

    public static StoreException AuthNotEnabled => New(9, "authentication is not enabled");

    public static StoreException RootUserNotExist => New(9, "root user does not exist");

    public static StoreException RootRoleNotExist => New(9, "root user does not have root role");

    public static StoreException UserExists => New(9, "user name already exists");

    public static StoreException UserNotFound => New(9, "user name not found");

    public static StoreException RoleExists => New(9, "role name already exists");

    public static StoreException RoleNotFound => New(9, "role name not found");

    public static StoreException RoleNotGranted => New(9, "role is not granted to the user");

    public static StoreException PermissionNotGranted => New(9, "permission is not granted to the role");

    public static StoreException PermissionNotGiven => Invalid("permission not given");

    public static StoreException InvalidAuthManagement => Invalid("invalid auth management");

    public static StoreException PermissionDenied => New(7, "permission denied");

    public static StoreException InvalidToken => New(16, "invalid auth token");

    public static StoreException NoLeader => New(14, "no leader");

    public static StoreException LeaderChanged => New(14, "leader changed");

    public static StoreException Timeout => New(14, "request timed out");

    public static StoreException Stopped => New(14, "server stopped");

    public static StoreException LearnerUnsupported => New(9, "rpc not supported for learner");

    public static StoreException ElectionNotLeader => new(9, "election: not leader");

    private static StoreException Invalid(string text) => New(3, text);

    private static StoreException New(int code, string text) => new(code, "etcdserver: " + text);
}
