using Millrace.Coordination.Node;
using Millrace.Coordination.Store;

namespace Millrace.Tests.Coordination;

public sealed class ReadGateTests
{
    private readonly List<ReadBatch> _posted = [];

    [Fact]
    public void All_light_reads_of_a_batch_go_on_where_it_is_released()
    {
        var gate = new ReadGate(TimeProvider.System, _posted.Add);
        var threads = new List<int>();
        for (var i = 0; i < 100; i++)
            _ = ReadAsync(gate, threads);
        var batch = Assert.Single(_posted);
        gate.Close(batch);
        batch.Release();
        Assert.Equal(Enumerable.Repeat(Environment.CurrentManagedThreadId, 100), threads);
    }

    [Fact]
    public async Task A_read_joins_no_batch_that_was_asked_or_given_up()
    {
        var gate = new ReadGate(TimeProvider.System, _posted.Add);
        var first = gate.WaitAsync(byQuorum: false, isLight: false);
        gate.Close(_posted[0]);
        var second = gate.WaitAsync(byQuorum: false, isLight: false);
        var quorum = gate.WaitAsync(byQuorum: true, isLight: false);
        Assert.Equal(3, _posted.Count);
        _posted[0].Release();
        await first;
        gate.FailOlderThan(long.MaxValue, StoreErrors.Timeout);
        await Assert.ThrowsAsync<StoreException>(second.AsTask);
        await Assert.ThrowsAsync<StoreException>(quorum.AsTask);
        Assert.True(gate.IsEmpty);
        var third = gate.WaitAsync(byQuorum: false, isLight: false);
        Assert.Equal(4, _posted.Count);
        gate.Close(_posted[3]);
        // Whoever comes second, the answer or the end of patience, finds nobody.
        _posted[3].Release();
        _posted[3].Fail(StoreErrors.Timeout);
        await third;
    }

    private static async Task ReadAsync(ReadGate gate, List<int> threads)
    {
        await gate.WaitAsync(byQuorum: false, isLight: true).ConfigureAwait(false);
        threads.Add(Environment.CurrentManagedThreadId);
    }
}
