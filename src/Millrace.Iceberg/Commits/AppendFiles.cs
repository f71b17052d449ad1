using System.Globalization;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Manifests;
using Millrace.Iceberg.Metadata;

namespace Millrace.Iceberg.Commits;

/// <summary>
/// A commit that adds data files. The files must be durable already (<see cref="Files.ParquetWriter"/> sees to it). Used once.
/// </summary>
public sealed class AppendFiles
{
    /// <summary>The summary key of a writer's name.</summary>
    public const string WriterKey = "millrace.writer";

    /// <summary>The summary key of the checkpoint that the files belong to.</summary>
    public const string CheckpointKey = "millrace.checkpoint-id";

    /// <summary>The table property, followed by a writer's name, that holds its newest committed checkpoint.</summary>
    public const string CheckpointPropertyPrefix = "millrace.checkpoint.";

    /// <summary>The table property, followed by a writer's name, that holds which state of the writer the checkpoint is of.</summary>
    public const string StatePropertyPrefix = "millrace.state.";

    /// <summary>The summary key of that state.</summary>
    public const string StateKey = "millrace.state";

    private readonly Table _table;
    private readonly List<DataFile> _files = [];
    private readonly HashSet<string> _paths = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _keys = new(StringComparer.Ordinal);
    private string? _writer;
    private string? _state;
    private long _checkpoint;

    internal AppendFiles(Table table) => _table = table;

    /// <summary>True after <see cref="Commit"/> when the checkpoint was in the table before: nothing was added.</summary>
    public bool WasCommittedBefore { get; private set; }

    /// <exception cref="IcebergException">The file stands there twice, is no data file, or its spec is unknown.</exception>
    public AppendFiles Add(params IEnumerable<DataFile> files)
    {
        foreach (var file in files)
        {
            if (file.Content != FileContent.Data)
                throw new IcebergException($"{file.Path} holds deletes; an append takes data files");
            if (_table.Metadata.SpecById(file.SpecId) is null)
                throw new IcebergException($"{file.Path} has the partition spec {file.SpecId}, which {_table.Ident} does not know");
            if (!_paths.Add(file.Path))
                throw new IcebergException($"{file.Path} was added twice");
            _files.Add(file);
        }
        return this;
    }

    /// <summary>A key of one's own in the snapshot's summary.</summary>
    public AppendFiles Set(string key, string value)
    {
        _keys[key] = value;
        return this;
    }

    /// <summary>
    /// Ties the commit to a checkpoint of a writer, whose checkpoints must grow: it is committed once, however often it is tried. The
    /// check and the mark are part of the same atomic commit, so two processes that believe themselves the same writer cannot both add.
    /// </summary>
    /// <param name="writer">E.g. pipeline and input.</param>
    /// <param name="checkpoint">Greater than that of the writer's commit before.</param>
    /// <param name="state">Which state of the writer counts these checkpoints; see <see cref="Table.LastState"/>.</param>
    public AppendFiles Checkpoint(string writer, long checkpoint, string? state = null)
    {
        if (state is not null)
            Set(StateKey, _state = state);
        _writer = writer;
        _checkpoint = checkpoint;
        return Set(WriterKey, writer).Set(CheckpointKey, checkpoint.ToString(CultureInfo.InvariantCulture));
    }

    /// <summary>Commits; the table object then stands at the new state.</summary>
    /// <returns>The new snapshot, or that which holds the checkpoint when it was committed before (the current one if that has expired).</returns>
    /// <exception cref="CommitConflictException">Others were faster more often than the property commit.retry.num-retries allows.</exception>
    /// <exception cref="CommitStateUnknownException">The disk failed half way: load the table and ask <see cref="Table.LastCommitted"/>.</exception>
    public Snapshot Commit()
    {
        var commit = new SnapshotCommit(_table);
        var written = new List<ManifestFile>();
        return commit.Commit(
            _keys,
            (metadata, before) =>
            {
                if (written.Count == 0)
                    written.AddRange(WriteManifests(commit, metadata));
                var change = new SummaryChange();
                foreach (var file in _files)
                    change.Add(file);
                var manifests = ManifestMerge.Apply(commit, _table.Storage, metadata, before);
                return new SnapshotDraft("append", [.. written, .. manifests], change, Marks());
            },
            CommittedBefore);
    }

    internal static long? LastCommitted(TableMetadata metadata, string writer)
    {
        if (metadata.Properties.TryGetValue(CheckpointPropertyPrefix + writer, out var text)
            && long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var checkpoint))
            return checkpoint;
        // A foreign tool may have taken the property away; the history still tells.
        foreach (var snapshot in metadata.AncestorsOf(metadata.CurrentSnapshotId))
        {
            if (snapshot.Summary.GetValueOrDefault(WriterKey) == writer && snapshot.Total(CheckpointKey) is { } found)
                return found;
        }
        return null;
    }

    private Snapshot? CommittedBefore(TableMetadata metadata)
    {
        if (_writer is null || LastCommitted(metadata, _writer) is not { } last || last < _checkpoint)
            return null;
        WasCommittedBefore = true;
        var text = _checkpoint.ToString(CultureInfo.InvariantCulture);
        return metadata.AncestorsOf(metadata.CurrentSnapshotId).FirstOrDefault(
                s => s.Summary.GetValueOrDefault(WriterKey) == _writer && s.Summary.GetValueOrDefault(CheckpointKey) == text)
            ?? metadata.CurrentSnapshot
            ?? throw new IcebergException($"{_table.Ident} has the checkpoint {last} of {_writer} but no snapshot: it was rolled back by hand; reset the writer");
    }

    private List<ManifestFile> WriteManifests(SnapshotCommit commit, TableMetadata metadata)
    {
        var manifests = new List<ManifestFile>();
        foreach (var group in _files.GroupBy(f => f.SpecId))
        {
            var spec = metadata.SpecById(group.Key) ?? throw new IcebergException($"the partition spec {group.Key} was removed");
            manifests.Add(commit.WriteManifest(metadata, spec, ManifestContent.Data, writer =>
            {
                foreach (var file in group)
                    writer.Add(file);
            }));
        }
        return manifests;
    }

    private IReadOnlyList<MetadataUpdate> Marks() => _writer is null
        ? []
        : [new MetadataUpdate.SetProperties(Properties())];

    private Dictionary<string, string> Properties()
    {
        var properties = new Dictionary<string, string> { [CheckpointPropertyPrefix + _writer] = _checkpoint.ToString(CultureInfo.InvariantCulture) };
        if (_state is not null)
            properties[StatePropertyPrefix + _writer] = _state;
        return properties;
    }
}
