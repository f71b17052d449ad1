using Millrace.Coordination.Node;

namespace Millrace.Tests.Coordination;

public sealed class AppliedBytesTests
{
    [Fact]
    public void Large_entries_keep_fewer_behind_a_snapshot()
    {
        var bytes = new AppliedBytes();
        for (var index = 1; index <= 100; index++)
            bytes.Add(index, AppliedBytes.StepBytes);
        Assert.Equal(80 - 32, bytes.IndexBefore(80, 32L * AppliedBytes.StepBytes));
        Assert.Equal(100 - 32, bytes.IndexBefore(100, 32L * AppliedBytes.StepBytes));
    }

    [Fact]
    public void Small_entries_are_not_bounded_by_their_bytes()
    {
        var bytes = new AppliedBytes();
        for (var index = 1; index <= 50_000; index++)
            bytes.Add(index, 300);
        Assert.Equal(0, bytes.IndexBefore(50_000, 32L * AppliedBytes.StepBytes));
    }

    [Fact]
    public void Nothing_is_behind_a_snapshot_of_before_the_first_entry()
    {
        var bytes = new AppliedBytes();
        Assert.Equal(0, bytes.IndexBefore(7, 1));
        bytes.Add(9, 5 * AppliedBytes.StepBytes);
        Assert.Equal(0, bytes.IndexBefore(8, 0));
    }
}
