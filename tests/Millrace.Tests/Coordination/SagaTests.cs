using Millrace.Coordination.Client;
using Millrace.Coordination.Sagas;

namespace Millrace.Tests.Coordination;

public sealed class SagaTests : SingleStoreTests
{
    private readonly List<string> _calls = [];

    [Fact]
    public async Task All_steps_are_done_once_and_a_saga_that_is_done_is_not_done_again()
    {
        Assert.Equal(SagaState.Done, (await RunAsync("a", Step("one"), Step("two"))).State);
        Assert.Equal(SagaState.Done, (await RunAsync("a", Step("one"), Step("two"))).State);
        Assert.Equal(["a/one/do", "a/two/do"], _calls);
    }

    [Fact]
    public async Task After_a_failure_the_steps_are_taken_back_last_first_with_the_one_that_failed()
    {
        var record = await RunAsync("b", Step("one"), Step("two"), Step("three", fails: true), Step("four"));
        Assert.Equal(SagaState.Undone, record.State);
        Assert.Equal("three: no room", record.Failure);
        Assert.Equal(["b/one/do", "b/two/do", "b/three/do", "b/three/undo", "b/two/undo", "b/one/undo"], _calls);
    }

    [Fact]
    public async Task A_runner_that_dies_in_a_step_is_followed_by_one_that_does_that_step_again_and_goes_on()
    {
        var dies = new SagaStep("two", (key, _) => throw new InvalidOperationException("died in " + key), null);
        await Assert.ThrowsAsync<InvalidOperationException>(() => RunAsync("c", Step("one"), dies, Step("three")));
        Assert.Equal(SagaState.Running, (await new SagaRunner(Client).ListAsync(CancellationToken.None)).Single(s => s.Id == "c").Record.State);
        Assert.Equal(SagaState.Done, (await RunAsync("c", Step("one"), Step("two"), Step("three"))).State);
        Assert.Equal(["c/one/do", "c/two/do", "c/three/do"], _calls);
    }

    [Fact]
    public async Task A_step_that_cannot_be_taken_back_waits_until_it_can()
    {
        var stuck = new SagaStep("one", (_, _) => Task.CompletedTask, (_, _) => throw new SagaStepException("closed"));
        await Assert.ThrowsAsync<SagaStepException>(() => RunAsync("d", stuck, Step("two", fails: true)));
        Assert.Equal(SagaState.Undone, (await RunAsync("d", Step("one"), Step("two", fails: true))).State);
        Assert.Equal(["d/two/do", "d/two/undo", "d/one/undo"], _calls);
    }

    private Task<SagaRecord> RunAsync(string id, params SagaStep[] steps) =>
        new SagaRunner(Client).RunAsync(id, "as the test says", _ => steps, CancellationToken.None);

    private SagaStep Step(string name, bool fails = false) => new(
        name,
        (key, _) =>
        {
            _calls.Add(key);
            return fails ? throw new SagaStepException("no room") : Task.CompletedTask;
        },
        (key, _) =>
        {
            _calls.Add(key);
            return Task.CompletedTask;
        });
}
