using System.Globalization;
using Google.Protobuf;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Store;
using Millrace.Coordination.Wire;
using Millrace.Raft;

namespace Millrace.Tests.Coordination;

public sealed class StoreTests
{
    private static int Seed { get; } =
        int.TryParse(Environment.GetEnvironmentVariable("MILLRACE_SEED"), CultureInfo.InvariantCulture, out var seed) ? seed : 1;

    [Fact]
    public void Versions_and_revisions_count_as_etcd_counts_them()
    {
        var store = new KeyValueStore();
        Assert.Equal(1, store.Revision);
        Put(store, "a", "1");
        Put(store, "a", "2");
        Delete(store, "a");
        Put(store, "a", "3");
        var kv = store.Range(new RangeRequest { Key = Bytes("a") }).Kvs.Single();
        Assert.Equal((5L, 5L, 1L), (kv.CreateRevision, kv.ModRevision, kv.Version));
        Assert.Equal((2L, 3L, 2L), At(3));
        Assert.Empty(store.Range(new RangeRequest { Key = Bytes("a"), Revision = 4 }).Kvs);
        // Deleting nothing is no revision.
        Delete(store, "nothing");
        Assert.Equal(5, store.Revision);

        (long, long, long) At(long revision)
        {
            var old = store.Range(new RangeRequest { Key = Bytes("a"), Revision = revision }).Kvs.Single();
            return (old.CreateRevision, old.ModRevision, old.Version);
        }
    }

    [Fact]
    public void Reads_outside_of_what_is_kept_fail_with_etcds_words()
    {
        var store = new KeyValueStore();
        for (var i = 0; i < 5; i++)
            Put(store, "k", i.ToString(CultureInfo.InvariantCulture));
        Assert.Equal("etcdserver: mvcc: required revision is a future revision",
            Assert.Throws<StoreException>(() => store.Range(new RangeRequest { Key = Bytes("k"), Revision = 7 })).Message);
        store.Compact(4);
        Assert.Equal("etcdserver: mvcc: required revision has been compacted",
            Assert.Throws<StoreException>(() => store.Range(new RangeRequest { Key = Bytes("k"), Revision = 3 })).Message);
        Assert.Equal("2", store.Range(new RangeRequest { Key = Bytes("k"), Revision = 4 }).Kvs.Single().Value.ToStringUtf8());
        Assert.Throws<StoreException>(() => store.Compact(4));
        Assert.Throws<StoreException>(() => store.Compact(7));
    }

    [Fact]
    public void A_transaction_is_all_or_nothing_and_its_changes_share_a_revision()
    {
        var store = new KeyValueStore();
        Put(store, "a", "1");
        var txn = new TxnRequest();
        txn.Compare.Add(new Compare { Target = Compare.Types.CompareTarget.Value, Key = Bytes("a"), Value = Bytes("1") });
        txn.Success.Add(new RequestOp { RequestPut = new PutRequest { Key = Bytes("b"), Value = Bytes("2") } });
        txn.Success.Add(new RequestOp { RequestRange = new RangeRequest { Key = Bytes("b") } });
        txn.Success.Add(new RequestOp { RequestPut = new PutRequest { Key = Bytes("c"), Value = Bytes("3"), Lease = 99 } });
        Assert.Equal("etcdserver: requested lease not found", Assert.Throws<StoreException>(() => Transactions.Run(store, txn)).Message);
        store.Commit();
        Assert.Equal(2, store.Revision);
        txn.Success.RemoveAt(2);
        var response = Transactions.Run(store, txn);
        store.Commit();
        Assert.True(response.Succeeded);
        Assert.Equal("2", response.Responses[1].ResponseRange.Kvs.Single().Value.ToStringUtf8());
        Assert.Equal(3, store.Revision);
    }

    [Theory]
    [InlineData("version", true)]
    [InlineData("create", true)]
    [InlineData("mod", true)]
    [InlineData("lease", true)]
    [InlineData("value", false)]
    public void A_missing_key_compares_as_zeros_but_has_no_value(string target, bool holds)
    {
        var compare = target switch
        {
            "version" => new Compare { Target = Compare.Types.CompareTarget.Version, Version = 0 },
            "create" => new Compare { Target = Compare.Types.CompareTarget.Create, CreateRevision = 0 },
            "mod" => new Compare { Target = Compare.Types.CompareTarget.Mod, ModRevision = 0 },
            "lease" => new Compare { Target = Compare.Types.CompareTarget.Lease, Lease = 0 },
            _ => new Compare { Target = Compare.Types.CompareTarget.Value, Value = ByteString.Empty },
        };
        compare.Key = Bytes("missing");
        var txn = new TxnRequest();
        txn.Compare.Add(compare);
        Assert.Equal(holds, Transactions.Run(new KeyValueStore(), txn).Succeeded);
        // An oneof of value zero goes over the wire all the same.
        Assert.NotEqual(Compare.TargetUnionOneofCase.None, Compare.Parser.ParseFrom(compare.ToByteArray()).TargetUnionCase);
    }

    [Theory]
    [InlineData("put a, put a", false)]
    [InlineData("put a, delete a", false)]
    [InlineData("put a, delete [a,c)", false)]
    [InlineData("delete a, delete a", true)]
    [InlineData("put a, put b, delete c", true)]
    public void No_key_is_put_twice_or_put_and_deleted_in_one_branch(string ops, bool isFine)
    {
        var txn = new TxnRequest();
        foreach (var op in ops.Split(", "))
        {
            var words = op.Split(' ');
            var range = words[1].Trim('[', ')').Split(',');
            txn.Failure.Add(words[0] == "put"
                ? new RequestOp { RequestPut = new PutRequest { Key = Bytes(words[1]) } }
                : new RequestOp
                {
                    RequestDeleteRange = new DeleteRangeRequest
                    {
                        Key = Bytes(range[0]), RangeEnd = range.Length > 1 ? Bytes(range[1]) : ByteString.Empty,
                    },
                });
        }
        if (isFine)
            RequestChecks.Check(txn, 128);
        else
            Assert.Contains("duplicate key", Assert.Throws<StoreException>(() => RequestChecks.Check(txn, 128)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Random_writes_reads_and_compactions_agree_with_a_slow_twin_also_after_a_snapshot()
    {
        for (var run = 0; run < 30; run++)
        {
            var random = new Random(Seed + run);
            var machine = new CoordinationMachine();
            var twin = new List<SortedDictionary<string, (string Value, long Create, long Version)>> { new(), new(StringComparer.Ordinal) };
            for (var step = 0; step < 300; step++)
            {
                switch (random.Next(12))
                {
                    case < 7:
                        TwinPut(twin, machine, Key(random), step.ToString(CultureInfo.InvariantCulture));
                        break;
                    case < 9:
                        TwinDelete(twin, machine, Key(random), Key(random));
                        break;
                    case 9 when machine.Store.Revision > machine.Store.CompactedRevision + 1:
                        machine.Store.Compact(random.NextInt64(machine.Store.CompactedRevision + 1, machine.Store.Revision + 1));
                        break;
                    case 10:
                        machine.Store.Discard(random.Next(1, 50));
                        break;
                    case 11 when random.Next(5) == 0:
                        var hash = machine.Store.Hash(0);
                        machine = Reload(machine);
                        Assert.Equal(hash, machine.Store.Hash(0));
                        break;
                    default:
                        CompareReads(twin, machine.Store, random, Seed + run);
                        break;
                }
            }
        }
    }

    [Fact]
    public void A_lease_takes_its_keys_along_and_a_put_without_it_sets_them_free()
    {
        var machine = new CoordinationMachine();
        long index = 0;
        Apply(CommandKind.LeaseGrant, new LeaseGrantRequest { ID = 7, TTL = 10 });
        Apply(CommandKind.Put, new PutRequest { Key = Bytes("a"), Lease = 7 });
        Apply(CommandKind.Put, new PutRequest { Key = Bytes("b"), Lease = 7 });
        Apply(CommandKind.Put, new PutRequest { Key = Bytes("c"), Lease = 7 });
        Apply(CommandKind.Put, new PutRequest { Key = Bytes("b") });
        machine = Reload(machine);
        var before = machine.Store.Revision;
        Apply(CommandKind.LeaseRevoke, new LeaseRevokeRequest { ID = 7 });
        Assert.Equal(before + 1, machine.Store.Revision);
        var changes = new List<BlockId>();
        machine.Store.ChangesOf(before + 1, changes);
        Assert.Equal(2, changes.Count);
        Assert.NotNull(machine.Store.Get(Bytes("b")));
        Assert.Null(machine.Store.Get(Bytes("a")));
        Assert.Equal("etcdserver: requested lease not found", Apply(CommandKind.LeaseRevoke, new LeaseRevokeRequest { ID = 7 }).Error!.Message);

        ApplyResult Apply(CommandKind kind, IMessage request) => machine.Apply(
            new Entry(1, ++index, EntryKind.Command, Command.Encode(kind, 1, 1, 0, "", request)))!.Value.Result;
    }

    [Fact]
    public void Keys_stay_in_bytewise_order_however_they_come_and_go()
    {
        var random = new Random(Seed);
        var slabs = new Slabs();
        var versions = new KeyVersions(slabs);
        var keys = new OrderedKeys(slabs, versions);
        var twin = new SortedDictionary<string, string>(StringComparer.Ordinal);
        for (var i = 0; i < 20_000; i++)
        {
            var text = random.Next(5000).ToString("x", CultureInfo.InvariantCulture);
            if (random.Next(3) == 0)
                Assert.Equal(twin.Remove(text), keys.Remove(Bytes(text).Span));
            else if (twin.TryAdd(text, text))
                keys.Add(versions.AddKey(Bytes(text).Span));
        }
        Assert.Equal(twin.Count, keys.Count);
        var found = new List<string>();
        for (var cursor = keys.Seek([]); cursor.MoveNext();)
            found.Add(TextOf(cursor));
        Assert.Equal(twin.Keys, found);
        for (var i = 0; i < 500; i++)
        {
            var from = random.Next(6000).ToString("x", CultureInfo.InvariantCulture);
            var cursor = keys.Seek(Bytes(from).Span);
            Assert.Equal(twin.Keys.FirstOrDefault(k => string.CompareOrdinal(k, from) >= 0), cursor.MoveNext() ? TextOf(cursor) : null);
        }

        string TextOf(OrderedKeys.Cursor cursor) => System.Text.Encoding.UTF8.GetString(versions.KeyOf(cursor.Key));
    }

    private static CoordinationMachine Reload(CoordinationMachine machine)
    {
        using var stream = new MemoryStream();
        using var gate = new ReaderWriterLockSlim();
        var snapshot = machine.Capture();
        snapshot.Write(machine.Store, stream, gate);
        stream.Position = 0;
        var loaded = new CoordinationMachine();
        loaded.Load(snapshot.Index, snapshot.Term, stream);
        return loaded;
    }

    private static void TwinPut(
        List<SortedDictionary<string, (string Value, long Create, long Version)>> twin, CoordinationMachine machine, string key, string value)
    {
        var next = new SortedDictionary<string, (string Value, long Create, long Version)>(twin[^1], StringComparer.Ordinal);
        next[key] = next.TryGetValue(key, out var old) ? (value, old.Create, old.Version + 1) : (value, twin.Count, 1);
        twin.Add(next);
        Put(machine.Store, key, value);
    }

    private static void TwinDelete(
        List<SortedDictionary<string, (string Value, long Create, long Version)>> twin, CoordinationMachine machine, string from, string to)
    {
        var next = new SortedDictionary<string, (string Value, long Create, long Version)>(twin[^1], StringComparer.Ordinal);
        foreach (var key in next.Keys.Where(k => string.CompareOrdinal(k, from) >= 0 && string.CompareOrdinal(k, to) < 0).ToArray())
            next.Remove(key);
        if (next.Count != twin[^1].Count)
            twin.Add(next);
        machine.Store.Delete(new KeyRange(Bytes(from), Bytes(to)));
        machine.Store.Commit();
    }

    private static void CompareReads(
        List<SortedDictionary<string, (string Value, long Create, long Version)>> twin, KeyValueStore store, Random random, int seed)
    {
        Assert.Equal(twin.Count - 1, store.Revision);
        var revision = random.NextInt64(Math.Max(1, store.CompactedRevision), store.Revision + 1);
        var (from, to) = (Key(random), random.Next(4) == 0 ? "\0" : Key(random));
        var limit = random.Next(3) == 0 ? random.Next(1, 5) : 0;
        var expected = twin[(int)revision].Where(e => string.CompareOrdinal(e.Key, from) >= 0 && (to == "\0" || string.CompareOrdinal(e.Key, to) < 0))
            .ToArray();
        var response = store.Range(new RangeRequest { Key = Bytes(from), RangeEnd = Bytes(to), Revision = revision, Limit = limit });
        Assert.True(response.Count == expected.Length, $"seed {seed}: {response.Count} keys at {revision} instead of {expected.Length}");
        Assert.Equal(limit > 0 && expected.Length > limit, response.More);
        Assert.Equal(
            expected.Take(limit == 0 ? int.MaxValue : limit).Select(e => (e.Key, e.Value.Value, e.Value.Create, e.Value.Version)),
            response.Kvs.Select(k => (k.Key.ToStringUtf8(), k.Value.ToStringUtf8(), k.CreateRevision, k.Version)));
    }

    private static string Key(Random random) => "k" + random.Next(30).ToString("D2", CultureInfo.InvariantCulture);

    private static void Put(KeyValueStore store, string key, string value)
    {
        store.Put(Bytes(key).Span, Bytes(value).Span, 0);
        store.Commit();
    }

    private static void Delete(KeyValueStore store, string key)
    {
        store.Delete(new KeyRange(Bytes(key), ByteString.Empty));
        store.Commit();
    }

    private static ByteString Bytes(string text) => ByteString.CopyFromUtf8(text);
}
