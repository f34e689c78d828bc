// Google's clients for Node as users call them: prints a line of JSON for each check.
const fs = require('fs');
const os = require('os');
const path = require('path');
const crypto = require('crypto');
const {Storage, TransferManager} = require('@google-cloud/storage');
const {PubSub} = require('@google-cloud/pubsub');

const bucket = new Storage().bucket('clients');
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'clients-'));

const size = async name => (await bucket.file(name).getMetadata())[0].size;
const text = async name => (await bucket.file(name).download())[0].toString();
const local = content => {
  const file = path.join(folder, 'file');
  fs.writeFileSync(file, content);
  return file;
};
const equal = (found, expected) => {
  if (JSON.stringify(found) !== JSON.stringify(expected)) throw new Error(`${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);
};

const checks = {
  save: async () => {
    await bucket.file('n/a.txt').save('hello');
    equal(await text('n/a.txt'), 'hello');
  },
  'save at once': async () => {
    const options = {resumable: false, contentType: 'text/x', metadata: {metadata: {a: 'b'}}};
    await bucket.file('n/b.txt').save(Buffer.alloc(5e6, 'x'), options);
    const [metadata] = await bucket.file('n/b.txt').getMetadata();
    equal([metadata.size, metadata.contentType, metadata.metadata], ['5000000', 'text/x', {a: 'b'}]);
  },
  stream: async () => {
    await new Promise((resolve, reject) => {
      const stream = bucket.file('n/c.txt').createWriteStream();
      stream.on('finish', resolve).on('error', reject);
      for (let n = 0; n < 20; n++) stream.write(Buffer.alloc(100000, 'y'));
      stream.end();
    });
    equal(await size('n/c.txt'), '2000000');
  },
  chunks: async () => {
    await bucket.file('n/d.txt').save(Buffer.alloc(1500000, 'z'), {chunkSize: 512 * 1024, resumable: true});
    equal(await size('n/d.txt'), '1500000');
  },
  upload: async () => {
    await bucket.upload(local('up'), {destination: 'n/u.txt'});
    equal(await text('n/u.txt'), 'up');
  },
  'upload an empty file': async () => {
    await bucket.upload(local(''), {destination: 'n/u0.txt', resumable: true});
    equal(await size('n/u0.txt'), '0');
  },
  list: async () => {
    const [files] = await bucket.getFiles({prefix: 'n/u'});
    equal(files.map(file => file.name), ['n/u.txt', 'n/u0.txt']);
  },
  'copy and move': async () => {
    await bucket.file('n/a.txt').copy(bucket.file('n/copy.txt'));
    await bucket.file('n/copy.txt').move('n/moved.txt');
    equal(await text('n/moved.txt'), 'hello');
  },
  combine: async () => {
    await bucket.combine(['n/a.txt', 'n/u.txt'], bucket.file('n/both.txt'));
    equal(await text('n/both.txt'), 'helloup');
  },
  range: async () => equal((await bucket.file('n/a.txt').download({start: 1, end: 3}))[0].toString(), 'ell'),
  'metadata of a bucket': async () => {
    const [other] = await new Storage().createBucket('clients-node');
    await other.addLifecycleRule({action: {type: 'Delete'}, condition: {age: 3}});
    equal((await other.getMetadata())[0].lifecycle.rule.length, 1);
    await other.setMetadata({lifecycle: null});
    equal((await other.getMetadata())[0].lifecycle, undefined);
    await other.delete();
  },
  'a supplied key is refused': async () => {
    const file = bucket.file('n/key', {encryptionKey: crypto.randomBytes(32)});
    equal(await file.save('x').then(() => 'saved', error => error.code), 501);
  },
  'transfer manager': async () => {
    await new TransferManager(bucket).uploadFileInChunks(local(Buffer.alloc(4e7)), {uploadName: 'n/parts'});
    equal(await size('n/parts'), '40000000');
  },
  delete: async () => {
    await bucket.deleteFiles({prefix: 'n/'});
    equal((await bucket.getFiles({prefix: 'n/'}))[0].length, 0);
  },
  'publish and subscribe': async () => {
    const [topic] = await new PubSub().createTopic('node-topic');
    const [subscription] = await topic.createSubscription('node-subscription');
    const received = new Promise(resolve =>
      subscription.once('message', message => {
        message.ack();
        resolve(message.data.toString());
      }),
    );
    await topic.publishMessage({data: Buffer.from('hi')});
    equal(await received, 'hi');
    await subscription.close();
  },
};

(async () => {
  for (const [name, check] of Object.entries(checks)) {
    const error = await check().then(() => null, failure => String(failure.message || failure));
    console.log(JSON.stringify({name, error}));
  }
  process.exit(0);
})();
