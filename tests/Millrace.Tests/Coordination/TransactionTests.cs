using Millrace.Coordination.Client;
using Millrace.Coordination.Commitment;
using Millrace.Coordination.Node;

namespace Millrace.Tests.Coordination;

/// <summary>Two-phase commit with its coordinator's state in the store: whatever step the coordinator dies at, whoever comes next ends it all or none.</summary>
public sealed class TransactionTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-transaction-").FullName;
    private CoordinationNode _node = null!;
    private CoordinationClient _client = null!;

    public async Task InitializeAsync()
    {
        _node = await CoordinationNode.StartAsync(new CoordinationOptions { DataFolder = _folder, ClientPort = 0, PeerPort = -1 });
        _client = new CoordinationClient([new Uri($"http://127.0.0.1:{_node.ClientPort}")]);
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        await _node.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData(CommitProtocol.TwoPhase)]
    [InlineData(CommitProtocol.ThreePhase)]
    public async Task Wherever_the_coordinator_dies_the_next_one_ends_it_all_or_none(CommitProtocol protocol)
    {
        var steps = 0;
        Assert.Equal(TransactionState.Committed, (await new TransactionCoordinator(_client, _ => steps++).RunAsync("all", "", protocol, _ => Participants("all"), default)).State);
        Assert.True(steps >= 6);
        var outcomes = new HashSet<TransactionState>();
        for (var last = 1; last <= steps; last++)
        {
            var id = $"{protocol}-{last}";
            var left = last;
            var dying = new TransactionCoordinator(_client, step => left = left == 1 ? throw new DeathException(step) : left - 1);
            var death = await Assert.ThrowsAsync<DeathException>(() => dying.RunAsync(id, "", protocol, _ => Participants(id), default));
            var record = await new TransactionCoordinator(_client).RunAsync(id, "", protocol, _ => Participants(id), default);
            outcomes.Add(record.State);
            var written = 0;
            foreach (var key in KeysOf(id))
                written += await _client.GetAsync(key, default) is null ? 0 : 1;
            Assert.True(written == (record.State == TransactionState.Committed ? 3 : 0), $"killed after '{death.Message}': {record.State} with {written} of 3 keys");
            Assert.Equal(death.Message is "begun" || death.Message.StartsWith("Preparing", StringComparison.Ordinal), record.State == TransactionState.Aborted);
            // Again, it is over.
            Assert.Equal(record, await new TransactionCoordinator(_client).RunAsync(id, "", protocol, _ => Participants(id), default));
        }
        Assert.Equal(2, outcomes.Count);
        Assert.Empty((await _client.ListAsync("transaction-intents/", default)).Keys);
    }

    [Fact]
    public async Task One_vote_no_aborts_all()
    {
        await _client.PutAsync("second/no", "here", default);
        var record = await new TransactionCoordinator(_client).RunAsync("no", "", CommitProtocol.TwoPhase, _ => Participants("no", ifAbsent: true), default);
        Assert.Equal(TransactionState.Aborted, record.State);
        Assert.Equal("second: key 'second/no' exists", record.Reason);
        Assert.Null(await _client.GetAsync("first/no", default));
        Assert.Empty((await _client.ListAsync("transaction-intents/", default)).Keys);
    }

    [Fact]
    public async Task A_coordinator_that_was_replaced_cannot_decide_any_more()
    {
        var coordinator = new TransactionCoordinator(_client, step =>
        {
            if (step != "Preparing second")
                return;
            // Another took the record over meanwhile and aborted, as it does when the lock is lost.
            var stored = _client.GetAsync("transactions/late", default).GetAwaiter().GetResult()!;
            _client.PutAsync("transactions/late", stored.Text.Replace("Preparing", "Aborted", StringComparison.Ordinal), default).GetAwaiter().GetResult();
        });
        var refused = await Assert.ThrowsAsync<InvalidOperationException>(() => coordinator.RunAsync("late", "", CommitProtocol.TwoPhase, _ => Participants("late"), default));
        Assert.Contains("was taken over", refused.Message, StringComparison.Ordinal);
        Assert.Null(await _client.GetAsync("first/late", default));
    }

    private ITransactionParticipant[] Participants(string id, bool ifAbsent = false) =>
    [
        new KeysParticipant("first", _client, [new TransactionKey("first/" + id, "1"), new TransactionKey("first-too/" + id, "2")]),
        new KeysParticipant("second", _client, [new TransactionKey("second/" + id, "3", ifAbsent)]),
    ];

    private static string[] KeysOf(string id) => ["first/" + id, "first-too/" + id, "second/" + id];

    private sealed class DeathException(string step) : Exception(step);
}
