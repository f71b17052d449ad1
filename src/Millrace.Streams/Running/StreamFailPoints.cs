namespace Millrace.Streams.Running;

/// <summary>
/// Named places between the steps that must survive a crash. A test injects a delegate that throws (or kills the process) there;
/// the product injects none.
/// </summary>
public sealed class StreamFailPoints(Action<string>? hit = null)
{
    public const string AfterPoll = "after-poll";
    public const string BeforeBarrier = "before-barrier";
    public const string AfterStagedFile = "after-staged-file";
    public const string BeforeStateWrite = "before-state-write";
    public const string AfterStateWrite = "after-state-write";
    public const string BeforeDelivery = "before-delivery";
    public const string InsideDelivery = "inside-delivery";
    public const string AfterDelivery = "after-delivery";
    public const string BeforeTableCommit = "before-table-commit";
    public const string AfterTableCommit = "after-table-commit";
    public const string AfterStagedDelete = "after-staged-delete";

    public static readonly StreamFailPoints None = new();

    /// <summary>Every place, in the order in which an epoch passes them.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        AfterPoll, BeforeBarrier, AfterStagedFile, BeforeStateWrite, AfterStateWrite, BeforeDelivery, InsideDelivery, AfterDelivery,
        BeforeTableCommit, AfterTableCommit, AfterStagedDelete,
    ];

    internal void Hit(string place) => hit?.Invoke(place);
}
