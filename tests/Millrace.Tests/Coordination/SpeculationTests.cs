using Google.Protobuf;
using Millrace.Coordination.Machine;
using Millrace.Coordination.Wire;
using Millrace.Raft;
using Xunit.Abstractions;

namespace Millrace.Tests.Coordination;

/// <summary>Entries that are run before they are committed: nobody can tell, whatever becomes of them.</summary>
public sealed class SpeculationTests(ITestOutputHelper output)
{
    private const int Keys = 12;

    [Fact]
    public void A_state_that_runs_ahead_shows_at_every_moment_what_one_shows_that_does_not()
    {
        var first = Seeds.Next(output);
        for (var seed = first; seed < first + Seeds.Rounds(200, 5000); seed++)
            CompareRuns(seed);
    }

    [Fact]
    public void What_ran_ahead_is_unseen_until_it_is_committed_and_gone_when_others_take_its_place()
    {
        var machine = Machine();
        machine.Apply(Put(1, 1, "a", "committed"));
        var changes = new List<long>();
        machine.Changed = changes.Add;
        Assert.True(machine.RunAhead(Put(2, 1, "a", "ahead")));
        Assert.True(machine.RunAhead(Put(3, 1, "new", "ahead")));
        Assert.Equal("1 keys 2 [a=committed@2]", Look(machine));
        Assert.Empty(changes);
        Assert.Equal(0, machine.Store.Range(new RangeRequest { Key = ByteString.CopyFromUtf8("new") }).Count);

        // Entry 2 is committed, another 3 takes the place of that one.
        machine.Apply(Put(2, 1, "a", "ahead"));
        Assert.Equal("1 keys 3 [a=ahead@3]", Look(machine));
        machine.Apply(Put(3, 2, "other", "x"));
        Assert.Equal("2 keys 4 [a=ahead@3, other=x@4]", Look(machine));
        Assert.Equal([3, 4], changes);
        Assert.Equal(0, machine.AheadCount);
    }

    [Fact]
    public void Leases_users_and_compactions_wait_until_they_are_committed()
    {
        var machine = Machine();
        Assert.False(machine.RunAhead(Entry(1, 1, CommandKind.LeaseGrant, new LeaseGrantRequest { ID = 5, TTL = 60 })));
        machine.Apply(Entry(1, 1, CommandKind.LeaseGrant, new LeaseGrantRequest { ID = 5, TTL = 60 }));
        Assert.False(machine.RunAhead(Entry(2, 1, CommandKind.Put, new PutRequest { Key = ByteString.CopyFromUtf8("k"), Lease = 5 })));
        machine.Apply(Entry(2, 1, CommandKind.Put, new PutRequest { Key = ByteString.CopyFromUtf8("k"), Lease = 5 }));
        Assert.False(machine.RunAhead(Entry(3, 1, CommandKind.DeleteRange, new DeleteRangeRequest { Key = ByteString.CopyFromUtf8("k") })));
        Assert.False(machine.RunAhead(Entry(3, 1, CommandKind.Compact, new CompactionRequest { Revision = 2 })));
        Assert.Equal("1 keys 2 [k=@2]", Look(machine));
        Assert.Single(machine.Store.Leases.Find(5)!.Keys);
    }

    /// <summary>A log of which ends are replaced now and then, applied by one that runs ahead at random and by one that never does.</summary>
    private static void CompareRuns(int seed)
    {
        var random = new Random(seed);
        var (ahead, plain) = (Machine(), Machine());
        var log = new List<Entry>();
        var (term, applied) = (1L, 0);
        for (var step = 0; step < 120; step++)
        {
            switch (random.Next(6))
            {
                case 0 when log.Count > applied:
                    // Another leader's entries take the place of those that were not committed.
                    term++;
                    var keep = applied + random.Next(log.Count - applied + 1);
                    log.RemoveRange(keep, log.Count - keep);
                    ahead.TakeBackAhead();
                    break;
                case 1 or 2:
                    log.Add(Draw(random, log.Count + 1, term));
                    break;
                case 3 or 4:
                    var next = applied + ahead.AheadCount;
                    if (next < log.Count)
                        ahead.RunAhead(log[next]);
                    break;
                default:
                    if (applied == log.Count)
                        break;
                    var (mine, theirs) = (ahead.Apply(log[applied]), plain.Apply(log[applied]));
                    applied++;
                    Assert.True(Describe(mine) == Describe(theirs), $"seed {seed}, entry {applied}: {Describe(mine)} instead of {Describe(theirs)}");
                    break;
            }
            Assert.True(Look(ahead) == Look(plain), $"seed {seed}, step {step}: {Look(ahead)} instead of {Look(plain)}");
            Assert.Equal(plain.Store.Bytes, ahead.Store.Bytes);
            Assert.Equal(plain.Store.Hash(0), ahead.Store.Hash(0));
        }
    }

    private static Entry Draw(Random random, long index, long term)
    {
        PutRequest OnePut() => new()
        {
            Key = Key(random), Value = ByteString.CopyFromUtf8(random.Next(1000).ToString()), PrevKv = true, Lease = random.Next(12) == 0 ? 7 : 0,
        };
        switch (random.Next(8))
        {
            case 0:
                return Entry(index, term, CommandKind.DeleteRange, new DeleteRangeRequest { Key = Key(random), RangeEnd = ByteString.CopyFromUtf8("k6"), PrevKv = true });
            case 1:
                return Entry(index, term, CommandKind.LeaseGrant, new LeaseGrantRequest { ID = random.Next(6, 9), TTL = 60 });
            case 2:
                return Entry(index, term, CommandKind.LeaseRevoke, new LeaseRevokeRequest { ID = 7 });
            case 3:
                return Entry(index, term, CommandKind.Compact, new CompactionRequest { Revision = random.Next(1, 40) });
            case 4:
                var txn = new TxnRequest();
                txn.Compare.Add(new Compare { Key = Key(random), Target = Compare.Types.CompareTarget.Version, Version = random.Next(3), Result = Compare.Types.CompareResult.Greater });
                txn.Success.Add(new RequestOp { RequestPut = OnePut() });
                txn.Success.Add(new RequestOp { RequestRange = new RangeRequest { Key = ByteString.CopyFromUtf8("k"), RangeEnd = ByteString.CopyFromUtf8("l") } });
                txn.Failure.Add(new RequestOp { RequestDeleteRange = new DeleteRangeRequest { Key = Key(random), PrevKv = true } });
                txn.Failure.Add(new RequestOp { RequestRange = new RangeRequest { Key = ByteString.CopyFromUtf8("k"), RangeEnd = ByteString.CopyFromUtf8("l"), CountOnly = true } });
                return Entry(index, term, CommandKind.Txn, txn);
            default:
                return Entry(index, term, CommandKind.Put, OnePut());
        }
    }

    private static ByteString Key(Random random) => ByteString.CopyFromUtf8("k" + random.Next(Keys));

    private static CoordinationMachine Machine()
    {
        var machine = new CoordinationMachine();
        machine.Begin(1, []);
        return machine;
    }

    private static Entry Put(long index, long term, string key, string value) =>
        Entry(index, term, CommandKind.Put, new PutRequest { Key = ByteString.CopyFromUtf8(key), Value = ByteString.CopyFromUtf8(value) });

    private static Entry Entry(long index, long term, CommandKind kind, IMessage request) =>
        new(term, index, EntryKind.Command, Command.Encode(kind, 1, (ulong)index, 1, "", request));

    private static string Describe(AppliedEntry? applied) => $"{applied?.RequestId} {applied?.Result.Response} {applied?.Result.Error?.Message}";

    private static string Look(CoordinationMachine machine)
    {
        var all = machine.Store.Range(new RangeRequest { Key = ByteString.CopyFrom(0), RangeEnd = ByteString.CopyFrom(0) });
        return $"{machine.Store.KeyCount} keys {all.Header.Revision} [{string.Join(", ", all.Kvs.Select(k => $"{k.Key.ToStringUtf8()}={k.Value.ToStringUtf8()}@{k.ModRevision}"))}]";
    }
}
