using Google.Protobuf;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Raft;

namespace Millrace.Coordination.Machine;

/// <summary>What a command came to: a response of the wire, or the error.</summary>
internal readonly record struct ApplyResult(IMessage? Response, StoreException? Error);

/// <summary>Who waits for an applied entry, and what it came to.</summary>
internal readonly record struct AppliedEntry(ulong Origin, ulong RequestId, ApplyResult Result);

/// <summary>
/// The replicated state: keys, leases, members, alarms, users. Entries go in, in order, with nothing else; the same entries give the
/// same state on every member.
/// </summary>
internal sealed class CoordinationMachine
{
    private readonly SortedDictionary<ulong, Member> _members = [];
    private readonly HashSet<ulong> _removed = [];
    private readonly LinkedList<EntryAhead> _ahead = new();
    private readonly SortedSet<(ulong Member, AlarmType Alarm)> _alarms = [];

    public KeyValueStore Store { get; private set; } = new();

    public AuthTable Auth { get; private set; } = new();

    public ulong ClusterId { get; private set; }

    public long AppliedIndex { get; private set; }

    public long AppliedTerm { get; private set; }

    public IReadOnlyCollection<Member> Members => _members.Values;

    public IReadOnlyCollection<(ulong Member, AlarmType Alarm)> Alarms => _alarms;

    /// <summary>Told of each revision that has changes, in order, before anyone can read them.</summary>
    public Action<long>? Changed { get; set; }

    /// <summary>Told of leases that begin (with their time in seconds) and end.</summary>
    public Action<long, long>? LeaseGranted { get; set; }

    public Action<long>? LeaseRevoked { get; set; }

    public Member? FindMember(ulong id) => _members.GetValueOrDefault(id);

    public bool WasRemoved(ulong id) => _removed.Contains(id);

    /// <summary>The state before the first entry.</summary>
    public void Begin(ulong clusterId, IEnumerable<Member> members)
    {
        ClusterId = clusterId;
        foreach (var member in members)
            _members[member.ID] = member.Clone();
    }

    /// <summary>Entries that were run ahead of their commitment.</summary>
    public int AheadCount => _ahead.Count;

    /// <summary>Whether an entry is the next that was run ahead, so that applying it costs next to nothing.</summary>
    public bool IsAhead(in Entry entry) => _ahead.First is { } first && first.Value.Index == entry.Index && first.Value.Term == entry.Term;

    /// <summary>
    /// Runs an entry of the log that is not committed yet, after those run ahead before it. Nobody can see what it does until <see cref="Apply"/> is
    /// given the very same entry; then that only lets it be seen. False when it is of a kind that cannot be run ahead.
    /// </summary>
    public bool RunAhead(Entry entry)
    {
        if (entry.Index != AppliedIndex + _ahead.Count + 1)
            throw new InvalidOperationException($"entry {entry.Index} is to be run ahead after {AppliedIndex + _ahead.Count}");
        if (entry.Kind != EntryKind.Command || (CommandKind)entry.Data.Span[0] is not (CommandKind.Put or CommandKind.DeleteRange or CommandKind.Txn))
            return false;
        var command = Command.Decode(entry.Data);
        IMessage? response = null;
        StoreException? refused = null;
        var ahead = Store.RunAhead(() =>
        {
            try
            {
                response = Execute(command, command.Request.Span);
                ResponseHeaders.SetRevision(response, Store.ReadRevision);
            }
            catch (StoreException error)
            {
                refused = error;
            }
        });
        if (ahead is null)
            return false;
        _ahead.AddLast(new EntryAhead(entry.Index, entry.Term, new AppliedEntry(command.Origin, command.RequestId, new ApplyResult(refused is null ? response : null, refused)), ahead));
        return true;
    }

    /// <summary>Whatever was run ahead never was: other entries took its place, or another state does.</summary>
    public void TakeBackAhead()
    {
        while (_ahead.Last is { } last)
        {
            Store.TakeBack(last.Value.Write);
            _ahead.RemoveLast();
        }
    }

    /// <summary>Applies the next entry.</summary>
    public AppliedEntry? Apply(Entry entry)
    {
        if (IsAhead(entry))
        {
            var (index, term, result, write) = _ahead.First!.Value;
            _ahead.RemoveFirst();
            (AppliedIndex, AppliedTerm) = (index, term);
            if (Store.Promote(write))
                Changed?.Invoke(Store.Revision);
            return result;
        }
        TakeBackAhead();
        if (entry.Index != AppliedIndex + 1)
            throw new InvalidOperationException($"entry {entry.Index} is to be applied after {AppliedIndex}");
        AppliedIndex = entry.Index;
        AppliedTerm = entry.Term;
        switch (entry.Kind)
        {
            case EntryKind.Command:
                var command = Command.Decode(entry.Data);
                return new AppliedEntry(command.Origin, command.RequestId, Execute(command));
            case EntryKind.Configuration:
                var configuration = ConfigurationEntry.Decode(entry.Data, out var context);
                return ChangeMembers(configuration, context);
            default:
                return null;
        }
    }

    /// <summary>What a snapshot needs and that changes with the next entry. Puts a hold on the store, to be released.</summary>
    public MachineSnapshot Capture()
    {
        var header = new StateHeader
        {
            ClusterId = ClusterId, Revision = Store.Revision, CompactedRevision = Store.CompactedRevision, Auth = Auth.Save(),
        };
        header.Members.AddRange(_members.Values.Select(m => m.Clone()));
        header.RemovedMembers.AddRange(_removed.Order());
        header.Alarms.AddRange(_alarms.Select(a => new AlarmMember { MemberID = a.Member, Alarm = a.Alarm }));
        header.Leases.AddRange(Store.Leases.All.Select(l => new StateLease { Id = l.Id, TtlSeconds = l.TtlSeconds }));
        Store.Hold();
        return new MachineSnapshot(AppliedIndex, AppliedTerm, header);
    }

    /// <summary>Becomes what a snapshot holds.</summary>
    public void Load(long index, long term, Stream stream)
    {
        var header = StateHeader.Parser.ParseDelimitedFrom(stream);
        Load(index, term, header, MachineSnapshot.ReadStore(header, stream));
    }

    /// <summary>Becomes a state that was put together elsewhere.</summary>
    public void Load(long index, long term, StateHeader header, KeyValueStore store)
    {
        _ahead.Clear();
        Store = store;
        Auth = new AuthTable();
        Auth.Load(header.Auth);
        ClusterId = header.ClusterId;
        _members.Clear();
        foreach (var member in header.Members)
            _members[member.ID] = member;
        _removed.Clear();
        _removed.UnionWith(header.RemovedMembers);
        _alarms.Clear();
        foreach (var alarm in header.Alarms)
            _alarms.Add((alarm.MemberID, alarm.Alarm));
        AppliedIndex = index;
        AppliedTerm = term;
    }

    /// <summary>A restored state goes on as that of a new group: other members, no alarms, the same keys, leases and users.</summary>
    public void Regroup(ulong clusterId, IEnumerable<Member> members)
    {
        _members.Clear();
        _removed.Clear();
        _alarms.Clear();
        Begin(clusterId, members);
    }

    private ApplyResult Execute(Command command)
    {
        try
        {
            var response = Execute(command, command.Request.Span);
            if (Store.Commit())
                Changed?.Invoke(Store.Revision);
            ResponseHeaders.SetRevision(response, Store.Revision);
            return new ApplyResult(response, null);
        }
        catch (StoreException error)
        {
            return new ApplyResult(null, error);
        }
    }

    private IMessage Execute(Command command, ReadOnlySpan<byte> request)
    {
        switch (command.Kind)
        {
            case CommandKind.Put:
                // Where it lies: this is what most entries are.
                var put = PutView.Of(request);
                if (Auth.IsEnabled)
                    Auth.Require(command.User, new KeyRange(ByteString.CopyFrom(put.Key), ByteString.Empty), isWrite: true);
                RequireSpace();
                return Transactions.Put(Store, put);
            case CommandKind.DeleteRange:
                var delete = DeleteRangeRequest.Parser.ParseFrom(request);
                Auth.Require(command.User, new KeyRange(delete.Key, delete.RangeEnd), isWrite: true);
                return Transactions.Delete(Store, delete);
            case CommandKind.Txn:
                var txn = TxnRequest.Parser.ParseFrom(request);
                RequireRights(command.User, txn);
                if (HasPut(txn))
                    RequireSpace();
                return Transactions.Run(Store, txn);
            case CommandKind.Compact:
                Auth.RequireAdmin(command.User);
                Store.Compact(CompactionRequest.Parser.ParseFrom(request).Revision);
                return new CompactionResponse { Header = new ResponseHeader() };
            case CommandKind.LeaseGrant:
                RequireSpace();
                var grant = LeaseGrantRequest.Parser.ParseFrom(request);
                Store.Leases.Grant(grant.ID, grant.TTL);
                LeaseGranted?.Invoke(grant.ID, grant.TTL);
                return new LeaseGrantResponse { Header = new ResponseHeader(), ID = grant.ID, TTL = grant.TTL };
            case CommandKind.LeaseRevoke:
                return Revoke(command.User, LeaseRevokeRequest.Parser.ParseFrom(request).ID);
            case CommandKind.Alarm:
                return ChangeAlarm(AlarmRequest.Parser.ParseFrom(request));
            case CommandKind.MemberAttributes:
                var attributes = MemberAttributes.Parser.ParseFrom(request);
                if (_members.TryGetValue(attributes.Id, out var member))
                {
                    var changed = member.Clone();
                    changed.Name = attributes.Name;
                    changed.ClientURLs.Clear();
                    changed.ClientURLs.AddRange(attributes.ClientUrls);
                    _members[attributes.Id] = changed;
                }
                return new AlarmResponse { Header = new ResponseHeader() };
            default:
                ExecuteAuth(command, request);
                return new AuthResponse { Header = new ResponseHeader() };
        }
    }

    private void ExecuteAuth(Command command, ReadOnlySpan<byte> request)
    {
        Auth.RequireAdmin(command.User);
        switch (command.Kind)
        {
            case CommandKind.AuthEnable:
                Auth.Enable(AuthEnableCommand.Parser.ParseFrom(request).TokenKey);
                break;
            case CommandKind.AuthDisable:
                Auth.Disable();
                break;
            case CommandKind.UserAdd:
                Auth.AddUser(AuthUserAddRequest.Parser.ParseFrom(request));
                break;
            case CommandKind.UserDelete:
                Auth.DeleteUser(AuthUserDeleteRequest.Parser.ParseFrom(request).Name);
                break;
            case CommandKind.UserChangePassword:
                Auth.ChangePassword(AuthUserChangePasswordRequest.Parser.ParseFrom(request));
                break;
            case CommandKind.UserGrantRole:
                var granted = AuthUserGrantRoleRequest.Parser.ParseFrom(request);
                Auth.GrantRole(granted.User, granted.Role);
                break;
            case CommandKind.UserRevokeRole:
                var revoked = AuthUserRevokeRoleRequest.Parser.ParseFrom(request);
                Auth.RevokeRole(revoked.Name, revoked.Role);
                break;
            case CommandKind.RoleAdd:
                Auth.AddRole(AuthRoleAddRequest.Parser.ParseFrom(request).Name);
                break;
            case CommandKind.RoleDelete:
                Auth.DeleteRole(AuthRoleDeleteRequest.Parser.ParseFrom(request).Role);
                break;
            case CommandKind.RoleGrantPermission:
                var permission = AuthRoleGrantPermissionRequest.Parser.ParseFrom(request);
                Auth.GrantPermission(permission.Name, permission.Perm);
                break;
            case CommandKind.RoleRevokePermission:
                Auth.RevokePermission(AuthRoleRevokePermissionRequest.Parser.ParseFrom(request));
                break;
            default:
                throw new InvalidDataException($"the log has a command of kind {command.Kind}, which this program does not know");
        }
    }

    private LeaseRevokeResponse Revoke(string user, long id)
    {
        var lease = Store.Leases.Find(id) ?? throw StoreErrors.LeaseNotFound;
        var keys = lease.SortedKeys();
        // An expiry has no user; the leader proposes it.
        if (user.Length > 0)
        {
            foreach (var key in keys)
                Auth.Require(user, new KeyRange(key, ByteString.Empty), isWrite: true);
        }
        foreach (var key in keys)
            Store.Delete(new KeyRange(key, ByteString.Empty));
        Store.Leases.Remove(id);
        LeaseRevoked?.Invoke(id);
        return new LeaseRevokeResponse { Header = new ResponseHeader() };
    }

    private AlarmResponse ChangeAlarm(AlarmRequest request)
    {
        var response = new AlarmResponse { Header = new ResponseHeader() };
        switch (request.Action)
        {
            case AlarmRequest.Types.AlarmAction.Activate:
                if (request.Alarm != AlarmType.None && _alarms.Add((request.MemberID, request.Alarm)))
                    response.Alarms.Add(new AlarmMember { MemberID = request.MemberID, Alarm = request.Alarm });
                break;
            case AlarmRequest.Types.AlarmAction.Deactivate:
                foreach (var alarm in _alarms.ToArray())
                {
                    if ((request.MemberID != 0 && alarm.Member != request.MemberID)
                        || (request.Alarm != AlarmType.None && alarm.Alarm != request.Alarm))
                        continue;
                    _alarms.Remove(alarm);
                    response.Alarms.Add(new AlarmMember { MemberID = alarm.Member, Alarm = alarm.Alarm });
                }
                break;
        }
        return response;
    }

    private AppliedEntry? ChangeMembers(Configuration configuration, ReadOnlyMemory<byte> context)
    {
        AppliedEntry? applied = null;
        if (!context.IsEmpty)
        {
            var change = MemberChange.Parser.ParseFrom(context.Span);
            switch (change.Kind)
            {
                case MemberChange.Types.Kind.Remove:
                    _members.Remove(change.Member.ID);
                    _removed.Add(change.Member.ID);
                    break;
                case MemberChange.Types.Kind.Update when _members.TryGetValue(change.Member.ID, out var member):
                    var changed = member.Clone();
                    changed.PeerURLs.Clear();
                    changed.PeerURLs.AddRange(change.Member.PeerURLs);
                    _members[changed.ID] = changed;
                    break;
                case MemberChange.Types.Kind.Add:
                    _members[change.Member.ID] = change.Member.Clone();
                    break;
            }
            applied = new AppliedEntry(change.Origin, change.RequestId, new ApplyResult(change, null));
        }
        foreach (var id in _members.Keys.ToArray())
        {
            var isLearner = configuration.IsLearner(new MemberId(id));
            if (_members[id].IsLearner == isLearner)
                continue;
            _members[id] = new Member(_members[id]) { IsLearner = isLearner };
        }
        return applied;
    }

    private void RequireSpace()
    {
        foreach (var (_, alarm) in _alarms)
        {
            if (alarm == AlarmType.Nospace)
                throw StoreErrors.NoSpace;
        }
    }

    private void RequireRights(string user, TxnRequest request)
    {
        if (!Auth.IsEnabled)
            return;
        foreach (var compare in request.Compare)
            Auth.Require(user, new KeyRange(compare.Key, compare.RangeEnd), isWrite: false);
        foreach (var op in request.Success.Concat(request.Failure))
        {
            switch (op.RequestCase)
            {
                case RequestOp.RequestOneofCase.RequestRange:
                    Auth.Require(user, new KeyRange(op.RequestRange.Key, op.RequestRange.RangeEnd), isWrite: false);
                    break;
                case RequestOp.RequestOneofCase.RequestPut:
                    Auth.Require(user, new KeyRange(op.RequestPut.Key, ByteString.Empty), isWrite: true);
                    break;
                case RequestOp.RequestOneofCase.RequestDeleteRange:
                    Auth.Require(user, new KeyRange(op.RequestDeleteRange.Key, op.RequestDeleteRange.RangeEnd), isWrite: true);
                    break;
                case RequestOp.RequestOneofCase.RequestTxn:
                    RequireRights(user, op.RequestTxn);
                    break;
            }
        }
    }

    private static bool HasPut(TxnRequest request)
    {
        foreach (var op in request.Success.Concat(request.Failure))
        {
            if (op.RequestCase == RequestOp.RequestOneofCase.RequestPut
                || (op.RequestCase == RequestOp.RequestOneofCase.RequestTxn && HasPut(op.RequestTxn)))
                return true;
        }
        return false;
    }

    private sealed record EntryAhead(long Index, long Term, AppliedEntry Result, Ahead Write);
}
