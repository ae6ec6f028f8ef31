/**
 * The hand-made word lists of the lexicon: kinds that people name, words not to list, words not fit for an embedded sample,
 * and what an English sentence begins with and holds. Data only; lexicon.ts says how each is used.
 */

/** Any of these words, whole and in either case; `before` is what must stand before them. */
function wordPattern(alternatives: string, before = '\\b'): RegExp {
  return new RegExp(`${before}(${alternatives})\\b`, 'i');
}

/** Broader kinds that people name, each with the lexicographer file of the sense that is meant: lemma, file, label if it differs. */
export const ANCHORS: readonly [lemma: string, file: number, label?: string][] = [
  ['animal', 3],
  ['animal', 5],
  ['bird', 5],
  ['fish', 5],
  ['insect', 5],
  ['reptile', 5],
  ['amphibian', 5],
  ['edible fruit', 13, 'fruit'],
  ['vegetable', 13],
  ['food', 13],
  ['food', 3],
  ['beverage', 13, 'drink'],
  ['meat', 13],
  ['cheese', 13],
  ['spice', 13],
  ['herb', 13],
  ['plant', 3],
  ['tree', 20],
  ['flower', 20],
  ['shrub', 20],
  ['grass', 20],
  ['tool', 6],
  ['weapon', 6],
  ['vehicle', 6],
  ['vessel', 6, 'ship'],
  ['furniture', 6],
  ['clothing', 6],
  ['musical instrument', 6],
  ['building', 6],
  ['room', 6],
  ['container', 6],
  ['machine', 6],
  ['fabric', 6],
  ['road', 6],
  ['drug', 6],
  ['jewelry', 6],
  ['hat', 6],
  ['shoe', 6],
  ['structure', 6],
  ['device', 6],
  ['kitchen utensil', 6],
  ['tableware', 6],
  ['tool', 6],
  ['boat', 6],
  ['aircraft', 6],
  ['color', 7],
  ['emotion', 12],
  ['disease', 26],
  ['illness', 26],
  ['injury', 26],
  ['sport', 4],
  ['game', 4],
  ['dance', 4],
  ['crime', 4],
  ['language', 10],
  ['country', 15],
  ['city', 15],
  ['American state', 15, 'state of the United States'],
  ['river', 17],
  ['mountain', 17],
  ['body of water', 17],
  ['island', 17],
  ['continent', 17],
  ['metallic element', 27, 'metal'],
  ['chemical element', 27],
  ['gas', 27],
  ['liquid', 27],
  ['organ', 8],
  ['bone', 8],
  ['muscle', 8],
  ['body part', 8, 'body part'],
  ['relative', 18],
  ['leader', 18],
  ['worker', 18],
  ['scientist', 18],
  ['artist', 18],
  ['musician', 18],
  ['writer', 18],
  ['soldier', 18],
  ['criminal', 18],
  ['child', 18],
  ['ruler', 18],
  ['athlete', 18],
  ['person', 3],
  ['calendar month', 28, 'month'],
  ['day of the week', 28],
  ['time period', 28, 'period of time'],
  ['number', 23],
  ['unit of measurement', 23, 'unit of measurement'],
  ['money', 21],
  ['science', 9],
  ['religion', 14],
  ['music', 10],
  ['document', 6],
  ['organization', 14],
  ['group', 3],
  ['shape', 3],
  ['weather', 19],
  ['material', 27],
];

/** Too broad to be an answer to "what kind of thing is it?". */
export const TOO_BROAD = new Set(
  (
    'entity,abstraction,object,whole,unit,matter,thing,physical entity,artifact,instrumentality,psychological feature,' +
    'attribute,relation,measure,cause,being,organism,part,content,cognition,communication,causal agent,process,happening,' +
    'natural object,location,possession,region,article,covering,commodity,adult,compound,fundamental quantity,' +
    'definite quantity,indefinite quantity,point,line,set,collection,body,area,way,end,living thing,change,activity,act,event,' +
    'state,condition,property,quality,substance,instrument,equipment,system,agent,mechanism,person,group,male,female,' +
    'knowledge,occurrence,action,existence,thinking,creation,representation,standing,people,phenomenon,quantity,magnitude,' +
    'standard,concept,medium,indication,situation,amount,portion,dimension,status,gathering,thought,text,power,personnel,' +
    'selection,movement,surface,piece,spot,appearance,practice,information,sum,word,protein,molecule,barrier,belief,rate'
  ).split(','),
);

/** True, but not what one says: passed over on the way up. */
export const PASSED_OVER = new Set(['mammal', 'vertebrate', 'garment', 'carnivore', 'limb', 'mixture', 'solid', 'tissue']);

/** The lexicographer file of the sense a plain reader has in mind where the concordance (newspaper and novel text of the 1960s) counts another one. */
export const PREFERRED = new Map(
  Object.entries({
    table: 6,
    heart: 8,
    tiger: 5,
    gold: 27,
    hammer: 6,
    chess: 4,
    plant: 3,
    queen: 18,
    spade: 6,
    hind: 5,
    runner: 18,
    hand: 8,
    oak: 20,
  }),
);

export const NOT_ENTRIES = new Set(
  (
    'be,have,do,get,go,not,at,in,as,an,it,who,us,so,no,or,am,are,was,he,i,ii,iii,a,b,c,d,e,f,g,h,j,k,l,m,n,o,p,q,r,s,t,u,v,w,' +
    'x,y,z,let,there,will,may,can,must,might,could,make,take,give,come,put,set,say,bring,also,then,now,well,just,even,still,' +
    'yet,too,thus,once,out,up,on,off,over,down,by,about,away,back,only,more,most,much,very,some,any,all,every,this,that,such,' +
    'other,own,one,many,first,few,less,least,to,for,ones,per,vs,mr,mrs,dr,ca,st'
  ).split(','),
);

export const UNFIT = wordPattern(
  'slang|vulgar|obscen\\w*|offensive|disparag\\w*|derogator\\w*|slurs?|sexual\\w*|sex|genitals?|intercourse|prostitut\\w*|penis|' +
    'vagina\\w*|copulat\\w*|ejaculat\\w*|anus|anal|feces|urin\\w*|excre\\w*|erotic\\w*|homosex\\w*|negro\\w*|ethnic|jews?|jewish|' +
    'nazis?|suicid\\w*|rap(e|ed|ist|ing)|whore\\w*|archaic|obsolete|breasts?|orgasm\\w*|masturb\\w*|narcotic\\w*|cocaine|heroin|' +
    'marijuana|castrat\\w*|lesbian\\w*|abortion\\w*|contracepti\\w*|street names?|racial\\w*|racism|racist|nude|naked|hitler|' +
    'slave\\w*|corpse',
);

export const SUBJECT = wordPattern(
  'he|she|they|we|i|you|it|the|his|her|their|my|our|your|this|that|these|those|a|an|there|some|many|most|all|no|every|each|' +
    'one|people|children|john|mary',
  '^',
);

export const FINITE = wordPattern(
  "is|are|was|were|am|has|had|have|did|does|do|can|could|will|would|must|may|might|should|isn't|wasn't|don't|didn't|can't|" +
    "won't|couldn't|went|came|made|took|gave|got|saw|said|told|left|kept|held|put|ran|fell|felt|found|became|began|knew|" +
    'brought|bought|thought|sat|stood|wrote|spoke|broke|lost|met|led|sent|spent|built|grew|drew|threw|wore|ate|drank|drove|' +
    'rode|rose|sang|slept|taught|caught|fought|hit|cut|let|shot|won|paid|read|sold|set|struck|hung|flew|lay|laid|[a-z]{3,}ed|' +
    'comes|goes|makes|takes|gives|needs|wants|likes|loves|runs|looks|seems|lives|works|plays|says|knows|grows|keeps|contains|' +
    'means|feels|became',
);

/** Words of grammar, and irregular forms, that an example sentence may hold besides listed words. */
export const FUNCTION_WORDS = new Set(
  (
    'the,and,of,with,from,his,her,she,they,we,you,him,them,me,my,our,your,its,their,was,were,is,had,has,did,does,been,being,' +
    'when,which,what,where,while,because,if,but,than,into,onto,under,after,before,between,without,against,during,through,' +
    'toward,until,upon,us,these,those,would,should,shall,went,came,made,took,gave,got,saw,said,told,left,kept,held,ran,fell,' +
    'felt,found,became,began,knew,brought,bought,thought,sat,stood,wrote,spoke,broke,lost,met,led,sent,spent,built,grew,drew,' +
    'threw,wore,ate,drank,drove,rode,rose,sang,slept,taught,caught,won,paid,sold,men,women,children,people,feet,teeth,don,' +
    'didn,doesn,isn,wasn,couldn,re,ve,ll,john,mary,how,why'
  ).split(','),
);
