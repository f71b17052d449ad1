using Millrace.Coordination.Client;
using Millrace.Coordination.Commitment;

namespace Millrace.Tests.Coordination;

/// <summary>Two-phase commit with its coordinator's state in the store: whatever step the coordinator dies at, whoever comes next ends it all or none.</summary>
public sealed class TransactionTests : SingleStoreTests
{
    [Theory]
    [InlineData(CommitProtocol.TwoPhase)]
    [InlineData(CommitProtocol.ThreePhase)]
    public async Task Wherever_the_coordinator_dies_the_next_one_ends_it_all_or_none(CommitProtocol protocol)
    {
        var steps = 0;
        Assert.Equal(TransactionState.Committed, (await new TransactionCoordinator(Client, _ => steps++).RunAsync("all", "", protocol, _ => Participants("all"), default)).State);
        Assert.True(steps >= 6);
        var outcomes = new HashSet<TransactionState>();
        for (var last = 1; last <= steps; last++)
        {
            var id = $"{protocol}-{last}";
            var left = last;
            var dying = new TransactionCoordinator(Client, step => left = left == 1 ? throw new DeathException(step) : left - 1);
            var death = await Assert.ThrowsAsync<DeathException>(() => dying.RunAsync(id, "", protocol, _ => Participants(id), default));
            var record = await new TransactionCoordinator(Client).RunAsync(id, "", protocol, _ => Participants(id), default);
            outcomes.Add(record.State);
            var written = 0;
            foreach (var key in KeysOf(id))
                written += await Client.GetAsync(key, default) is null ? 0 : 1;
            Assert.True(written == (record.State == TransactionState.Committed ? 3 : 0), $"killed after '{death.Message}': {record.State} with {written} of 3 keys");
            Assert.Equal(death.Message is "begun" || death.Message.StartsWith("Preparing", StringComparison.Ordinal), record.State == TransactionState.Aborted);
            // Again, it is over.
            Assert.Equal(record, await new TransactionCoordinator(Client).RunAsync(id, "", protocol, _ => Participants(id), default));
        }
        Assert.Equal(2, outcomes.Count);
        Assert.Empty((await Client.ListAsync("transaction-intents/", default)).Keys);
    }

    [Fact]
    public async Task One_vote_no_aborts_all()
    {
        await Client.PutAsync("second/no", "here", default);
        var record = await new TransactionCoordinator(Client).RunAsync("no", "", CommitProtocol.TwoPhase, _ => Participants("no", ifAbsent: true), default);
        Assert.Equal(TransactionState.Aborted, record.State);
        Assert.Equal("second: key 'second/no' exists", record.Reason);
        Assert.Null(await Client.GetAsync("first/no", default));
        Assert.Empty((await Client.ListAsync("transaction-intents/", default)).Keys);
    }

    [Fact]
    public async Task A_coordinator_that_was_replaced_cannot_decide_any_more()
    {
        var coordinator = new TransactionCoordinator(Client, step =>
        {
            if (step != "Preparing second")
                return;
            // Another took the record over meanwhile and aborted, as it does when the lock is lost.
            var stored = Client.GetAsync("transactions/late", default).GetAwaiter().GetResult()!;
            Client.PutAsync("transactions/late", stored.Text.Replace("Preparing", "Aborted", StringComparison.Ordinal), default).GetAwaiter().GetResult();
        });
        var refused = await Assert.ThrowsAsync<InvalidOperationException>(() => coordinator.RunAsync("late", "", CommitProtocol.TwoPhase, _ => Participants("late"), default));
        Assert.Contains("was taken over", refused.Message, StringComparison.Ordinal);
        Assert.Null(await Client.GetAsync("first/late", default));
    }

    private ITransactionParticipant[] Participants(string id, bool ifAbsent = false) =>
    [
        new KeysParticipant("first", Client, [new TransactionKey("first/" + id, "1"), new TransactionKey("first-too/" + id, "2")]),
        new KeysParticipant("second", Client, [new TransactionKey("second/" + id, "3", ifAbsent)]),
    ];

    private static string[] KeysOf(string id) => ["first/" + id, "first-too/" + id, "second/" + id];

    private sealed class DeathException(string step) : Exception(step);
}
