namespace Millrace.Log.Groups;

/// <summary>A group: who is in it and where it goes on. All members are used under <see cref="Gate"/>.</summary>
internal sealed class GroupEntry(string id, GroupRules rules)
{
    public string Id { get; } = id;

    public Lock Gate { get; } = new();

    public ClassicGroup Classic { get; } = new(rules);

    public GroupOffsets Offsets { get; } = new();

    /// <summary>Whether anything was ever written of it, so that deleting needs a tombstone.</summary>
    public bool IsPersisted { get; set; }
}
